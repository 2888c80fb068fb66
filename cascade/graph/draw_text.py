"""Nodes and edges → DOT and Mermaid text."""
def to_dot(nodes, edges): return ""
def to_mermaid(nodes, edges): return ""
