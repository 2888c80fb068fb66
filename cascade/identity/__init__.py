"""When two things are the same: keys of code and of data, and what changed between two of them."""
