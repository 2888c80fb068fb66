"""Strings that have broken pages, terminals and parsers, and a run in which one of them stands wherever a text may."""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import cascade as cs
from cascade.context import get_current_context
from cascade.notebook.output import capture

if TYPE_CHECKING:
    from collections.abc import Iterator

HARMLESS = "harmless"
ALARM = "window.hacked=1"
STRINGS = {
    "script": f"<script>{ALARM}</script>",
    "end of script": f"</script><script>{ALARM}</script>",
    "script that never ends": "<!--<script>",
    "end of comment": f"--><img src=x onerror={ALARM}>",
    "end of title": f"</title><img src=x onerror={ALARM}>",
    "end of style": f"</style></svg><img src=x onerror={ALARM}>",
    "end of text area": f"</textarea></pre></td></table><img src=x onerror={ALARM}>",
    "image": f"<img src=x onerror={ALARM}>",
    "image in double quotes": f'"><img src=x onerror={ALARM}>',
    "image in single quotes": f"'><img src=x onerror={ALARM}>",
    "attribute": f'" onmouseover="{ALARM}" x="',
    "attribute without quotes": f"x onmouseover={ALARM} ",
    "backticks": f"`${{{ALARM}}}` onfocus={ALARM} autofocus",
    "svg": f"<svg onload={ALARM}><animate onbegin={ALARM}>",
    "math": f"<math><mtext><table><mglyph><style><img src=x onerror={ALARM}>",
    "frame": f"<iframe srcdoc='<script>parent.{ALARM}</script>'></iframe>",
    "base": "<base href=https://example.invalid/><link rel=stylesheet href=x.css>",
    "refresh": '<meta http-equiv="refresh" content="0;url=https://example.invalid">',
    "form": f"<form action=javascript:{ALARM}><input autofocus onfocus={ALARM}>",
    "javascript address": f"javascript:{ALARM}",
    "data address": f"data:text/html,<script>{ALARM}</script>",
    "style": f"x;background:url(javascript:{ALARM});expression({ALARM})",
    "section": f"]]><script>{ALARM}</script><![CDATA[",
    "document type": '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>&e;',
    "processing instruction": '<?xml version="1.0"?><?php echo 1 ?>',
    "entities": "&lt;b&gt; &amp;amp; &#60;b&#62; &#x0; &nosuch; &copy",
    "template": "{{7*7}} ${7*7} <%= 7*7 %> #{7*7} {x!r} %(x)s %s $x",
    "dot": 'x"]; evil [label=<<b>x</b>>, URL="javascript:1"]; y [label="\\N\\l\\',
    "mermaid": 'x"] --> evil["y"]; click evil "javascript:1"\n%%{init: {}}%%',
    "backslashes": "\\\" \\' \\\\ \\n \\u003cscript\\u003e \\x3cb\\x3e",
    "quotes": "\"\"\" ''' ``` \" ' `",
    "line ends": "one\ntwo\r\nthree\rfour\u2028five\u2029six\x0bseven\x0ceight\x85nine",
    "nul": "a\x00b\x00<script>\x00",
    "terminal": "\x1b[2J\x1b[31mred\x1b]0;title\x07\x1b]8;;https://example.invalid\x07link\x1b]8;;\x07\x9b31m\x08\x08",
    "lone surrogates": "a\ud800b\udfffc\ud83d",
    "bidirectional": "abc\u202egnp.exe\u202c \u2066x\u2069 \u200e\u200f \u061c",
    "no characters": "\ufffe\uffff\ufdd0\U0001ffff\ue000\U000f0000",
    "combining": "Z" + "\u0351\u036b\u0343" * 40 + "algo",
    "invisible": "a\u200b\u200d\u2060\ufeff\u00adb\u3164",
    "wide": "漢字かな交じり文 👩‍👩‍👧‍👦 🏳️‍🌈 ﷽ ｆｕｌｌ",
    "names of prototypes": "__proto__",
    "constructor": "constructor",
    "only white space": " \t\n\u00a0\u2003 ",
    "long": "x" * 1_000_000,
    "long markup": f"<b>{ALARM}</b>" * 40_000,
}
_FILE = "@cs.task(name=text)\ndef explode(x):\n    raise Broken(text)\n"


@contextmanager
def defined(text: str) -> Iterator[Any]:
    """A target whose tasks, nodes, resource, Param, capacity, values and output are called `text`."""

    @cs.resource(name=text)
    def held() -> Iterator[str]:
        yield text

    @cs.task(name=text)
    def say(x: object, held: object = cs.inject(text)) -> str:
        print(text)
        logging.getLogger(HARMLESS).error(text)
        warnings.warn(text, UserWarning, stacklevel=1)
        return text

    param = cs.Param(text, default=text, description=text)
    first = say(param).named(text)
    each = say.map([first, text]).with_constraints(**{text: 1})
    routed = cs.Router(first, {text: say(each), "other": say(1)}, name=text)
    try:
        yield say(routed)
    finally:
        get_current_context().resources.pop(text, None)


def play(text: str, *, fails: bool = False, cache: Any = None) -> Any:
    """Run it to its end; with `fails`, to an error of that text in a file of that name, in a frame of that name."""
    with defined(text) as target, _captured():
        wanted = exploding(text)(target) if fails else target
        run = cs.start(wanted, log_level=None, system_resources={text: 2}, name=text, capture_output=True, cache=cache)
        run.wait(20)
    assert run.state == ("failed" if fails else "completed")
    return run


def exploding(text: str) -> Any:
    """A task of a file that is called `text`, and whose error says it; NUL cannot be in the name of a file."""
    names: dict[str, Any] = {"cs": cs, "text": text, "Broken": type(_as_name(text), (Exception,), {})}
    exec(compile(_FILE, _as_name(text), "exec"), names)
    return names["explode"]


def _as_name(text: str) -> str:
    """What Python lets be the name of a class and of a file."""
    return text[:5_000].replace("\0", "0").encode("utf-8", "replace").decode()


@contextmanager
def _captured() -> Iterator[None]:
    """Have what tasks print, log and warn go to the run, as in a notebook."""
    with warnings.catch_warnings(), patch("cascade.runtime.capture.in_kernel", return_value=True):  # and nowhere else
        warnings.simplefilter("always")
        capture.acquire()
        try:
            yield
        finally:
            capture.release()
