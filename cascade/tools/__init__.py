"""Without a notebook: preview, pictures and files."""
