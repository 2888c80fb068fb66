"""How fast is cascade, next to bare Python and to its peers? `make bench` answers with one table.

In the order of the flow: `workloads` says what is run, `work` has the functions that every engine calls, `engines/`
has one page an engine, `child` times one workload under one engine in a process of its own, `runner` interleaves the
children, `budgets` holds what was promised, `table` shows both.
"""
