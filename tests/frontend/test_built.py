"""What ships: small, free of markup writing, of hosts and of machine paths, and as the manifest says."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "cascade" / "notebook"
SOURCES = sorted(
    path for path in (NOTEBOOK / "frontend").rglob("*.js") if not {"node_modules", "build"} & set(path.parts)
)
LIMIT = 50_000

# Ways to make markup or code of a text, and ways out to the network.
FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser|"
    r"\beval\(|new Function\(|\bfetch\(|XMLHttpRequest|WebSocket|sendBeacon|importScripts|localStorage|document\.cookie"
)


@pytest.mark.parametrize("name", ["widget.js", "page.js"])
def test_bundle_is_small(static: Path, name: str) -> None:
    """Each widget carries the whole module: under 50 KB gzipped, style sheet included."""
    assert len(gzip.compress((static / name).read_bytes(), mtime=0)) < LIMIT


def test_texts_stay_texts() -> None:
    """No source file makes markup or code of a text, and none speaks to the network."""
    found = {path.name: FORBIDDEN.findall(path.read_text(encoding="utf-8")) for path in SOURCES}
    assert {name: hits for name, hits in found.items() if hits} == {}


def test_built_files_name_nobody(static: Path) -> None:
    """The built files hold no address but the namespace of SVG, and no path of the machine that built them."""
    for path in [path for path in static.rglob("*") if path.suffix in {".js", ".css", ".json"}]:
        text = path.read_text(encoding="utf-8")
        assert set(re.findall(r"https?://[\w./-]+", text)) <= {"http://www.w3.org/2000/svg"}, path.name
        assert "node_modules" not in text, path.name
        assert "sourceMappingURL" not in text, path.name


def test_lock_file_names_nobody() -> None:
    """package-lock.json says versions and digests, not where they were fetched."""
    text = (NOTEBOOK / "frontend" / "package-lock.json").read_text(encoding="utf-8")
    assert re.findall(r"https?://[\w./-]+", text) == []
    assert '"integrity"' in text


def test_every_style_rule_is_scoped(static: Path) -> None:
    """No selector of the style sheet can touch the host: each names a class of the view."""
    css = re.sub(r"@keyframes[^{]+\{(?:[^{}]*\{[^{}]*\})*\}", "", (static / "view.css").read_text(encoding="utf-8"))
    heads = [head.strip() for head in re.findall(r"([^{}]+)\{", css) if not head.strip().startswith("@")]
    loose = [head for head in heads if any("cascade-" not in part for part in re.split(r",(?![^(]*\))", head))]
    assert (len(heads) > 100, loose) == (True, [])


def test_extension_is_complete(static: Path) -> None:
    """The manifest names the entry that is there, renderer and plugin, with the package's own name and version."""
    manifest = json.loads((static / "labextension" / "package.json").read_text(encoding="utf-8"))
    source = json.loads((NOTEBOOK / "frontend" / "package.json").read_text(encoding="utf-8"))
    assert (manifest["name"], manifest["version"]) == ("cascade-notebook", source["version"])
    build = manifest["jupyterlab"]["_build"]
    assert (build["mimeExtension"], build["extension"]) == ("./mimeExtension", "./extension")
    assert (static / "labextension" / manifest["jupyterlab"]["_build"]["load"]).is_file()
