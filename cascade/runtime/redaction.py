"""The secrets of a run, and texts without them.

In: the values of secret Params and Envs; texts that somebody may read. Out: the texts with dots in the place of each
secret. Invariant: a secret is found in the ways in which programs write one (as it is, quoted, escaped, in a URL, in
base 64, a line of it, cut short), and a run without secrets pays one look at an empty tuple.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cascade.spec.input import Env, Input

__all__ = ["DOTS", "Redactor", "Veil"]

DOTS: Final = "•••"
SHORTEST: Final = 3  # characters; anything shorter would be found everywhere
LONG: Final = 12  # characters of a secret of which a part that was cut off is recognised …
PART: Final = 8  # … from this length on
MOST_PARTS: Final = 1000  # texts that are looked for inside one secret value
_CUT: Final = re.compile(r"…|\.\.\.")  # what stands where a text was cut …
_END: Final = re.compile(r"['\"]?\Z")  # … and where nothing does
_RUN: Final = re.compile("[A-Za-z0-9]{16,}")  # within a longer secret: no writer changes it, and no word is like it


class Redactor:
    """Takes the secrets that it knows out of texts.

    Attributes:
        secrets: the texts that are secret, as they were given.

    Example:
        >>> redact = Redactor()
        >>> redact.add_value("hunter2/x")
        >>> redact("login hunter2/x, https://hunter2%2Fx@host, aHVudGVyMi94")
        'login •••, https://•••@host, •••'
    """

    __slots__ = ("_firsts", "_forms", "_long", "secrets")

    def __init__(self) -> None:
        """Know no secret."""
        self.secrets: frozenset[str] = frozenset()
        self._forms: tuple[str, ...] = ()
        self._long: tuple[str, ...] = ()
        self._firsts: frozenset[str] = frozenset()

    def add(self, inputs: Mapping[Input, object]) -> None:
        """Know the values of those of `inputs` that are secret; a graph that grows may bring more."""
        for each, value in inputs.items():
            if each.secret:
                self.add_value(value)

    def add_environment(self, envs: Iterable[Env], environment: Mapping[str, str]) -> None:
        """Know what the secret ones of `envs` stand for; a resource may read its password where no node asks for it."""
        for each in envs:
            if each.secret and each.name in environment:
                self.add_value(environment[each.name])

    def add_value(self, value: object) -> None:
        """Know one secret value, and every text inside it."""
        found = {text for text in _texts_in(value) if len(text) >= SHORTEST}
        if found <= self.secrets:
            return
        self.secrets |= found
        forms = {form for text in self.secrets for form in _forms_of(text) if len(form) >= SHORTEST}
        self._forms = tuple(sorted(forms, key=len, reverse=True))
        self._long = tuple([form for form in self._forms if len(form) >= LONG])
        self._firsts = frozenset(form[0] for form in self._forms)

    def __call__(self, text: str) -> str:
        """Return `text` without the secrets."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, DOTS)
        for form in self._long:
            if form[:PART] in text or form[-PART:] in text:
                text = _without_rests(text, form)
        return text

    def open_end(self, text: str) -> int:
        """Return where in `text` a secret begins that only what follows can finish; its length if none does."""
        length = len(text)
        start = length - len(self._forms[0]) + 1 if self._forms else length
        while True:
            at = self._find_begin(text, max(0, start))
            ends = [self._end_across(text, form, at) for form in self._forms] if at < length else []
            start = max(ends, default=0)
            if start <= at:
                return at

    def _find_begin(self, text: str, start: int) -> int:
        firsts = self._firsts
        for place, character in enumerate(text[start:], start):
            if character in firsts:
                rest = text[place:]
                if any(form.startswith(rest) and form != rest for form in self._forms):
                    return place
        return len(text)

    @staticmethod
    def _end_across(text: str, form: str, place: int) -> int:
        """Return where a `form` ends that began before `place` and goes beyond it, 0 if there is none."""
        begin = text.find(form, max(0, place - len(form) + 1), place + len(form) - 1)
        return begin + len(form) if begin >= 0 else 0

    def holds(self, value: object) -> bool:
        """Say whether `value` is one of the secrets, as a whole."""
        return (
            bool(self._forms)
            and isinstance(value, (str, bytes, int, float))
            and not self.secrets.isdisjoint(_texts_in(value))
        )


class Veil:
    """Takes secrets out of a text that comes in pieces; holds back only what may be the beginning of one.

    Args:
        redact: knows the secrets, also those that it learns later.

    Example:
        >>> redact = Redactor()
        >>> redact.add_value("hunter2")
        >>> veil = Veil(redact)
        >>> veil("login hun"), veil("ter2, then hun"), veil.rest()
        ('login ', '•••, then ', 'hun')
    """

    __slots__ = ("_held", "_redact")

    def __init__(self, redact: Redactor) -> None:
        """Hold nothing back yet."""
        self._redact = redact
        self._held = ""

    def __call__(self, text: str) -> str:
        """Return what can be shown now that `text` has come."""
        text = self._held + text
        end = self._redact.open_end(text)
        self._held = text[end:]
        return self._redact(text[:end])

    def rest(self) -> str:
        """Return what was held back: nothing follows."""
        text, self._held = self._held, ""
        return self._redact(text)


def _texts_in(value: object) -> Iterator[str]:
    """Yield the texts of a secret: its own, and those in its containers; truth and nothing are no secrets."""
    stack, seen = [value], 0
    while stack and seen < MOST_PARTS:
        part = stack.pop()
        seen += 1
        if part is None or isinstance(part, bool):
            continue
        if isinstance(part, Mapping):
            stack += [*part.keys(), *part.values()]
        elif isinstance(part, (list, tuple, set, frozenset)):
            stack += part
        elif isinstance(part, (bytes, bytearray)):
            yield bytes(part).decode("utf-8", "backslashreplace")
            yield repr(bytes(part))[2:-1]
            yield bytes(part).hex()
        else:
            yield from _text_of(part)


def _text_of(part: object) -> Iterator[str]:
    try:
        yield str(part)
        if not isinstance(part, str):
            yield repr(part)
    except Exception:  # noqa: BLE001 - a class whose own words fail cannot say the secret either
        return


def _forms_of(text: str) -> Iterator[str]:
    """Yield the ways in which programs write `text`."""
    import json
    from html import escape
    from shlex import quote as in_shell
    from urllib.parse import quote, quote_plus

    lines = [line.strip() for line in text.splitlines()]
    for each in {text, text.strip(), *(line for line in lines if len(line) > SHORTEST)}:
        yield each
        data = each.encode("utf-8", "surrogatepass")
        both = f"\"'{each}"  # a text that has both marks already: what follows is escaped in another way
        written = [write(each)[1:-1] for write in (repr, ascii, json.dumps)] + [repr(data)[2:-1]]
        written += [json.dumps(each, ensure_ascii=False)[1:-1], repr(both)[4:-1], ascii(both)[4:-1]]
        written.append(repr(both.encode("utf-8", "surrogatepass"))[5:-1])
        for one in written:
            yield one
            again = one.replace("\\", "\\\\")  # a text in a text, as the JSON of a JSON has it
            yield from (again, again.replace("'", "\\'"), again.replace('"', '\\"'))
        yield escape(each)
        yield in_shell(each).strip("'")
        yield from (quote(data, safe=""), quote(data), quote_plus(data))
        yield data.hex()
        yield from _in_base64(data)
        yield from (run for run in _RUN.findall(each) if not run.isalpha() and not run.isdigit())


def _in_base64(data: bytes) -> Iterator[str]:
    """Yield what stands for `data` in base 64, wherever in a longer text it begins (``user:password``)."""
    from base64 import b64encode, urlsafe_b64encode

    for encode in (b64encode, urlsafe_b64encode):
        yield encode(data).decode().rstrip("=")
        for before in range(3):
            cut = encode(bytes(before) + data).decode().rstrip("=")
            first = (before * 8 + 5) // 6  # characters with a bit of what stands before
            last = (before + len(data)) * 8 // 6  # those after it have one of what follows
            if last - first >= PART:
                yield cut[first:last]


def _without_rests(text: str, secret: str) -> str:
    """Take out what is left of a secret where a text was cut: its beginning before a cut, its end after one."""
    ends = [*_CUT.finditer(text), *_END.finditer(text)]
    for found in sorted(ends, key=lambda cut: cut.start(), reverse=True):  # so that places further up stay
        before, after = found.start(), found.end()
        for length in range(min(len(secret) - 1, len(text) - after), PART - 1, -1):
            if text.startswith(secret[-length:], after):
                text = text[:after] + DOTS + text[after + length :]
                break
        for length in range(min(len(secret) - 1, before), PART - 1, -1):
            if text.endswith(secret[:length], 0, before):
                text = text[: before - length] + DOTS + text[before:]
                break
    return text
