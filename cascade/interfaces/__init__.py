"""The agreements between the parts: protocols, events, exceptions."""
