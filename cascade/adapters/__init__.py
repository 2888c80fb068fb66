"""Where it happens: solvers, executors and what else can be exchanged."""
