"""Solvers: graph to plan."""
