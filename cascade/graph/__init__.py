"""What was meant: the recorded calls as plain data, checked, drawn and written to files."""
