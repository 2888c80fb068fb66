"""Boxes and links → a layered layout from left to right.

In: sizes and links as numbers. Out: places and SVG paths. Invariant: pure, deterministic, near linear, no recursion.

The steps are those of Sugiyama, each in its own file. `arrange` calls them: `topology` turns cycles round and finds
the unconnected parts; for each `part`, `layering` (with `strips`) chooses columns, `bends` breaks long links up,
`ordering` (with `crossings`) sorts each column, `placement` (with `relaxing`) gives heights, `folding` gives widths
and folds long chains into rows, and `routing` (with `combs`) draws the paths; `packing` puts the parts together.
`perch` says which Params stand on their reader instead.
"""

from __future__ import annotations

from cascade.graph.layout.arrange import lay_out
from cascade.graph.layout.shapes import Layout, Link, Place, Route, Size, Spacing

__all__ = ["Layout", "Link", "Place", "Route", "Size", "Spacing", "lay_out"]
