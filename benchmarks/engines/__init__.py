"""One page an engine; each maps the kinds of `workloads` to a function that prepares one timed call.

Preparing defines the functions, as a user would have done before; the timed call builds the graph and runs it, and
returns an answer that the child compares with the workload's. Where an engine's cost grows with the square of the
graph, `LARGEST` says up to which size it is asked at all, and `MEASURED_AT` at which size instead of the row's.
"""
