"""How it happens: the scheduler core, the shell that obeys it, and the handle that people hold."""
