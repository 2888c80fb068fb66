"""State backends: what is known of a run while it goes on."""
