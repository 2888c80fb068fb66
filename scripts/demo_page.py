"""Executed notebook → one HTML page: prose, code and outputs, with each run drawn by cascade's own view.

In: a notebook that has been executed. Out: HTML text in one piece. Invariant: the page loads nothing; what came out of
the notebook as text is text in the page.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Any

from markdown_it import MarkdownIt
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from cascade.notebook.page import make_page, run_place

if TYPE_CHECKING:
    from nbformat import NotebookNode

RUN = "application/vnd.cascade.run+json"
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")

STYLE = """
.code, .text { margin: 1rem 0; padding: .8rem 1rem; border-radius: 8px; overflow-x: auto; }
.code { background: var(--code); border: 1px solid var(--line); }
.text { color: var(--soft); padding-block: 0; }
.dataframe { border: 0; border-collapse: collapse; font-size: 14px; }
.dataframe th, .dataframe td { padding: .3rem .7rem; border: 0 solid var(--line); border-bottom-width: 1px; }
.dataframe td, .dataframe thead th { text-align: right; }
"""


def page(notebook: NotebookNode) -> str:
    """Write the whole page."""
    parts = [cell_html(cell, number) for number, cell in enumerate(notebook.cells)]
    light = HtmlFormatter(style="default").get_style_defs(".code")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".code")
    colours = f"{light}\n@media (prefers-color-scheme: dark) {{ {dark} }}\n.code {{ background: var(--code); }}"
    return make_page(title(notebook), "\n".join(part for part in parts if part), style=STYLE + colours)


def title(notebook: NotebookNode) -> str:
    """The first heading of the notebook."""
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    found = re.search(r"^#\s+(.+)$", prose, re.MULTILINE)
    return found[1] if found else "cascade"


def cell_html(cell: NotebookNode, number: int) -> str:
    """One cell: its prose, or its code and what came out."""
    if cell.cell_type == "markdown":
        return str(MarkdownIt("commonmark", {"html": False}).enable("table").render(cell.source))
    if cell.cell_type != "code" or not cell.source.strip():
        return ""
    code = highlight(cell.source, PythonLexer(), HtmlFormatter(nowrap=True))
    outputs = [output_html(output, f"run-{number}-{place}") for place, output in enumerate(cell.outputs)]
    return f'<div class="code"><pre>{code}</pre></div>\n' + "\n".join(outputs)


def output_html(output: NotebookNode, run_id: str) -> str:
    """One output in the richest form that needs nothing else."""
    if output.output_type == "stream":
        return text_html(output.text)
    data: dict[str, Any] = output.get("data", {})
    if RUN in data:
        return run_place(data[RUN], data.get("text/html", ""), run_id)
    if "image/svg+xml" in data:
        return f'<div class="output">{data["image/svg+xml"]}</div>'
    if "image/png" in data:
        alt = escape(data.get("text/plain", ""), quote=True)
        return f'<div class="output"><img alt="{alt}" src="data:image/png;base64,{data["image/png"].strip()}"></div>'
    if "text/html" in data:
        return f'<div class="output">{data["text/html"]}</div>'
    return text_html(data.get("text/plain", ""))


def text_html(text: str) -> str:
    """Plain text, without a terminal's colours."""
    stripped = ANSI.sub("", text).rstrip()
    return f'<div class="text"><pre>{escape(stripped)}</pre></div>' if stripped else ""
