"""IN THE NOTEBOOK: events → what a person sees of a run, magics → runs. Imported by `%load_ext cascade`, not before."""
