"""Executed notebook → one HTML page: prose, code and outputs, with each run drawn by cascade's own view.

In: a notebook that has been executed. Out: HTML text in one piece. Invariant: the page loads nothing; what came out of
the notebook as text is text in the page.
"""

from __future__ import annotations

import json
import re
from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any

from markdown_it import MarkdownIt
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

if TYPE_CHECKING:
    from nbformat import NotebookNode

RUN = "application/vnd.cascade.run+json"
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")

PAGE = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { color-scheme: light dark; }
:root { --ink: #1c2430; --soft: #5d6875; --paper: #ffffff; --line: #dfe4ea; --code: #f6f8fa; }
@media (prefers-color-scheme: dark) {
  :root { color-scheme: light dark; }
:root { --ink: #e4e8ee; --soft: #9aa5b1; --paper: #14181d; --line: #2d343c; --code: #1b2027; }
}
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.6 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2.5rem 1.25rem 5rem; }
h1, h2, h3 { line-height: 1.25; margin: 2.2em 0 .6em; }
h1 { margin-top: 0; }
a { color: inherit; }
pre, code { font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
.code, .text { margin: 1rem 0; padding: .8rem 1rem; border-radius: 8px; overflow-x: auto; }
.code { background: var(--code); border: 1px solid var(--line); }
.text { color: var(--soft); padding-block: 0; }
.output { margin: 1rem 0; overflow-x: auto; }
.output img { max-width: 100%; height: auto; }
.dataframe { border: 0; border-collapse: collapse; font-size: 14px; }
.dataframe th, .dataframe td { padding: .3rem .7rem; border: 0 solid var(--line); border-bottom-width: 1px; }
.dataframe td, .dataframe thead th { text-align: right; }
$highlighting
</style>
<style>$view_style</style>
</head>
<body>
<main>
$body
</main>
<script>$view_script</script>
<script>
for (const holder of document.querySelectorAll("[data-run]")) {
  const data = JSON.parse(document.getElementById(holder.dataset.run).textContent);
  const place = document.createElement("div");
  place.className = "output";
  holder.after(place);
  try {
    cascadeView.mount(place, data);
    holder.remove();
  } catch (error) {
    console.error(error);
    place.remove(); // the picture stays
  }
}
</script>
</body>
</html>
""")


def page(notebook: NotebookNode) -> str:
    """Write the whole page."""
    parts = [cell_html(cell, number) for number, cell in enumerate(notebook.cells)]
    light = HtmlFormatter(style="default").get_style_defs(".code")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".code")
    return PAGE.substitute(
        title=escape(title(notebook)),
        highlighting=f"{light}\n@media (prefers-color-scheme: dark) {{ {dark} }}\n.code {{ background: var(--code); }}",
        view_style=shipped("view.css"),
        view_script=shipped("page.js").replace("</script", "<\\/script"),
        body="\n".join(part for part in parts if part),
    )


def title(notebook: NotebookNode) -> str:
    """The first heading of the notebook."""
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    found = re.search(r"^#\s+(.+)$", prose, re.MULTILINE)
    return found[1] if found else "cascade"


def shipped(name: str) -> str:
    """One of the built files of the front end; empty when it is not built, and then the pictures stay pictures."""
    path = files("cascade") / "notebook" / "static" / name
    return path.read_text(encoding="utf-8") if path.is_file() else ""


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
        return run_html(data, run_id)
    if "image/svg+xml" in data:
        return f'<div class="output">{data["image/svg+xml"]}</div>'
    if "image/png" in data:
        alt = escape(data.get("text/plain", ""), quote=True)
        return f'<div class="output"><img alt="{alt}" src="data:image/png;base64,{data["image/png"].strip()}"></div>'
    if "text/html" in data:
        return f'<div class="output">{data["text/html"]}</div>'
    return text_html(data.get("text/plain", ""))


def run_html(data: dict[str, Any], run_id: str) -> str:
    """A run: its picture, which the view replaces when the page's script runs, and the document for the view."""
    document = json.dumps(data[RUN]).replace("<", "\\u003c")
    return (
        f'<div class="output" data-run="{run_id}">{data.get("text/html", "")}</div>\n'
        f'<script type="application/json" id="{run_id}">{document}</script>'
    )


def text_html(text: str) -> str:
    """Plain text, without a terminal's colours."""
    stripped = ANSI.sub("", text).rstrip()
    return f'<div class="text"><pre>{escape(stripped)}</pre></div>' if stripped else ""
