"""One page an engine; each maps the kinds of `workloads` to a function that prepares one timed call.

Preparing defines the functions, as a user would have done before; the timed call builds the graph and runs it, and
returns an answer that the child compares with the workload's.
"""
