"""What is said: message id and fields → words → console or JSON."""
