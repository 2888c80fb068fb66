"""Two code keys → sentences that say what changed.

In: the key of code as it was, and as it is. Out: changes, each one sentence that can be read alone. Invariant: equal
keys give no sentence, and different keys give at least one; what is not known (a source that was not kept) is said to
be unknown, never guessed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

from cascade.identity.lines import Edit, first_edit
from cascade.identity.parts import ARROW, CodeKey, Part, split_path

__all__ = ["Change", "explain_code"]

_CODE = ("function", "helper", "depends_on")
_CONSTANTS = ".constants"
_MADE_UP = {"__dataclass_fields__": "fields", "__pydantic_fields__": "fields", "_member_map_": "members"}
# What methods, partials and caches hold.
_BOUND = {"self": "the object", "args": "bound arguments", "keywords": "bound arguments", "cache": "a cache"}
# What follows from the fields of a class: told only if nothing else is.
_DERIVED = ("__match_args__", "__hash__", "_field_defaults", "[repr_fmt]", "[field_names]")


@dataclass(frozen=True, slots=True)
class Change:
    """One reason why code has another key.

    Args:
        sentence: for people. kind: of the part that changed. path: how the function gets there.
        before, after: short texts, empty where there is nothing. line: where it changed, 0 if unknown.
    """

    sentence: str
    kind: str
    path: str
    before: str = ""
    after: str = ""
    line: int = 0

    def __str__(self) -> str:
        """Show the sentence."""
        return self.sentence


def explain_code(before: CodeKey, after: CodeKey) -> tuple[Change, ...]:
    """Return what changed from one code key to another, in the order in which the code uses it.

    Example:
        >>> old = CodeKey("a", (Part("f", "function", "1"), Part("f.LIMIT", "global", "2", "0.3")))
        >>> new = CodeKey("b", (Part("f", "function", "1"), Part("f.LIMIT", "global", "3", "0.4")))
        >>> [change.sentence for change in explain_code(old, new)]
        ['global LIMIT 0.3 → 0.4 (used in f)']
    """
    if before.digest == after.digest:
        return ()
    old, new = _by_path(_under_one_name(before, after)), _by_path(after)
    stands = [part for part in new.values() if part.kind == "version"]
    stood = [part for part in old.values() if part.kind == "version"]
    if bool(stands) != bool(stood):  # what is used by code that nobody looked at is not known
        return (_stands(stands[0]) if stands else _stood(stood[0]),)
    found = [*_changed(old, new), *_gone(old, new)]
    merged = _merge([change for change in found if not _is_derived(change)] or found)
    if not merged:
        merged = list(_other_uses(old, new)) or [Change(_UNSEEN, "function", _root(after))]
    return tuple(merged)


_UNSEEN = "what the code uses changed in a way that its parts do not show"


def _is_derived(change: Change) -> bool:
    return change.path.endswith(_DERIVED) or "_tuplegetter" in {change.before, change.after}


def _other_uses(old: dict[str, Part], new: dict[str, Part]) -> Iterator[Change]:
    """Yield which libraries are used in another way, where nothing else tells it."""
    for path, part in new.items():
        if part.kind == "library" and path in old and old[path].digest != part.digest:
            where = _name(split_path(path)[0])
            yield Change(f"{where} uses something else of {part.source} than before", part.kind, path)


def _name(path: str) -> str:
    """Return the name of the code at a path."""
    return path.rpartition(ARROW)[2]


def _root(key: CodeKey) -> str:
    own = [part.path for part in key.parts if part.kind in {"function", "version"}]
    return own[0].partition(" (")[0] if own else ""


def _under_one_name(before: CodeKey, after: CodeKey) -> CodeKey:
    """Return `before` with the name that the function has now: a new name is no change of the code."""
    was, now = _root(before), _root(after)
    if was == now or not was or not now:
        return before
    parts = [replace(p, path=now + p.path[len(was) :]) if p.path.startswith(was) else p for p in before.parts]
    return replace(before, parts=tuple(parts))


def _by_path(key: CodeKey) -> dict[str, Part]:
    return {part.path: part for part in key.parts}


def _changed(old: dict[str, Part], new: dict[str, Part]) -> Iterator[Change]:
    """Yield what both have, and differs, and what only the new one has."""
    is_upgrade = "python" in old and "python" in new and old["python"].digest != new["python"].digest
    for path, part in new.items():
        earlier = old.get(path)
        if path.endswith(_CONSTANTS):
            continue  # told with the code that has them
        if earlier is None:
            yield from _added(part, old)
        elif earlier.kind != part.kind:
            yield _other_kind(earlier, part, new)
        elif earlier.digest != part.digest and not (is_upgrade and _is_same_text(earlier, part)):
            yield from _compare(earlier, part, old, new)


def _is_same_text(before: Part, after: Part) -> bool:
    return before.kind in _CODE and first_edit(before.source, after.source) is None


def _compare(before: Part, after: Part, old: dict[str, Part], new: dict[str, Part]) -> Iterator[Change]:
    kind, path = after.kind, after.path
    if kind == "library":
        if before.source != after.source:
            yield Change(_arrow(before.source, after.source), kind, path, before.source, after.source)
    elif kind == "version":
        yield Change(f"version {before.source} → {after.source}", kind, path, before.source, after.source)
    elif kind in _CODE and (before.line or after.line):
        yield _code_change(before, after, old.get(path + _CONSTANTS), new.get(path + _CONSTANTS))
    elif kind == "class" and before.source != after.source and before.source and after.source:
        sentence = f"class {_name(path)} has other bases ({before.source} → {after.source})"
        yield Change(sentence, kind, path, before.source, after.source)
    elif kind in {"class", "module"}:
        yield Change(f"{kind} {_name(path)} has other members than before", kind, path)
    else:
        yield _value_change(before, after, new)


def _arrow(before: str, after: str) -> str:
    """Return ``numpy 1.26.4 → 2.1.0``."""
    name, _, version = after.partition(" ")
    was, _, earlier = before.partition(" ")
    return f"{name} {earlier} → {version}" if name == was else f"{before} → {after}"


def _code_change(before: Part, after: Part, constants: Part | None, constants_now: Part | None) -> Change:
    what = _name_code(after)
    if not before.source or not after.source:
        pair = _one_constant(constants, constants_now)
        shown = f" ({pair[0]} → {pair[1]})" if pair else ""
        sentence = f"{what} changed{shown}; its source is not available, so the line is not known"
        return Change(sentence, after.kind, after.path, *(pair or ("", "")))
    edit = first_edit(before.source, after.source)
    if edit is None:
        return Change(f"{what} was compiled to something else from the same text", after.kind, after.path)
    line = after.line + edit.line - 1
    return Change(f"{what} changed, line {line}{_detail(edit)}", after.kind, after.path, edit.before, edit.after, line)


def _name_code(part: Part) -> str:
    name = part.path.split(ARROW)[-1]
    if part.kind == "depends_on":
        return f"{name.partition(' + ')[2]}, named in depends_on,"
    return f"helper {name}" if part.kind == "helper" else name


def _detail(edit: Edit) -> str:
    shown = f" ({edit.before} → {edit.after})" if edit.before and edit.after else ""
    more = f", and {edit.more} more {'line' if edit.more == 1 else 'lines'}" if edit.more else ""
    return shown + more


def _one_constant(before: Part | None, after: Part | None) -> tuple[str, str] | None:
    """Return the constant that was replaced by another, if it is one."""
    if before is None or after is None:
        return None
    old, new = before.source.split(", "), after.source.split(", ")
    steps = [step for step in SequenceMatcher(None, old, new, autojunk=False).get_opcodes() if step[0] != "equal"]
    if len(steps) != 1 or steps[0][2] - steps[0][1] != 1 or steps[0][4] - steps[0][3] != 1:
        return None
    return old[steps[0][1]], new[steps[0][3]]


def _value_change(before: Part, after: Part, new: dict[str, Part]) -> Change:
    home, name = split_path(after.path, new)
    holder, is_member = _name(home), home in new and new[home].kind == "class"
    words = {
        "default": f"default of {name}",
        "closure": f"enclosing value {name}",
        "depends_on": f"{after.path.partition(' + ')[2]}, named in depends_on,",
    }
    what = words.get(after.kind, f"{after.kind} {name}")
    if after.kind == "closure" and after.path.endswith(")"):
        what = _BOUND.get(name, what)
    elif is_member and after.kind == "global":
        what = _MADE_UP.get(name, f"attribute {name}")
    elif after.kind == "function":  # an object that can be called
        what = "the object"
    was, now = before.source, after.source
    told = f"{was} → {now}" if was != now else f"changed{f' ({now})' if now else ''}"
    where = f" ({'of' if is_member or after.kind == 'default' else 'used in'} {holder})"
    is_own = after.kind in {"depends_on", "function"} or (after.kind == "default" and ARROW not in after.path)
    return Change(f"{what} {told}{'' if is_own else where}", after.kind, after.path, was, now)


def _other_kind(before: Part, after: Part, new: dict[str, Part]) -> Change:
    def show(part: Part) -> str:
        text = part.source if part.kind not in (*_CODE, "class") and "\n" not in part.source else ""
        return f"{_article(part.kind)} {part.kind}{f' ({text})' if text else ''}"

    if after.kind == "version":
        return _stands(after)
    if before.kind == "version":
        return _stood(before)
    home, name = split_path(after.path, new)
    return Change(f"{name}, used in {_name(home)}, was {show(before)} and is {show(after)}", after.kind, after.path)


def _stands(part: Part) -> Change:
    return Change(f"version {part.source} stands for the code now", part.kind, part.path, "", part.source)


def _stood(part: Part) -> Change:
    return Change(f"version {part.source} no longer stands for the code", part.kind, part.path, part.source)


def _article(kind: str) -> str:
    return "an" if kind[0] in "aeiou" else "a"


def _added(part: Part, old: dict[str, Part]) -> Iterator[Change]:
    home, name = split_path(part.path, old)
    holder = _name(home)
    known = {each.source for each in old.values() if each.kind == "library"}
    if part.kind == "library":
        if part.source not in known and not _version_of(part, old):
            yield Change(f"{holder} now uses {part.source}", part.kind, part.path, "", part.source)
    elif part.kind == "unresolved":
        yield Change(f"{holder} uses {name}, which is not defined", part.kind, part.path)
    elif part.kind == "version":
        yield _stands(part)
    elif part.kind == "depends_on":
        yield Change(f"{part.path.partition(' + ')[2]} is named in depends_on now", part.kind, part.path)
    elif part.kind != "function":
        yield Change(f"{holder} now uses {_what(part, name)}", part.kind, part.path, "", part.source)


def _version_of(part: Part, old: dict[str, Part]) -> bool:
    """Say whether a library was used before, in another version: that is told by itself."""
    name = part.source.partition(" ")[0]
    return any(each.kind == "library" and each.source.partition(" ")[0] == name for each in old.values())


def _gone(old: dict[str, Part], new: dict[str, Part]) -> Iterator[Change]:
    libraries = {part.source.partition(" ")[0] for part in new.values() if part.kind == "library"}
    for path, part in old.items():
        if path in new or path.endswith(_CONSTANTS):
            continue
        home, name = split_path(path, old)
        holder = _name(home)
        if part.kind == "library":
            if part.source.partition(" ")[0] not in libraries:
                yield Change(f"{holder} no longer uses {part.source}", part.kind, path, part.source)
        elif part.kind == "unresolved":
            yield Change(f"{name}, used in {holder}, was not defined and is now", part.kind, path)
        elif part.kind == "version":
            yield _stood(part)
        elif part.kind == "depends_on":
            yield Change(f"{path.partition(' + ')[2]} is no longer named in depends_on", part.kind, path)
        elif part.kind != "function":
            yield Change(f"{holder} no longer uses {_what(part, name)}", part.kind, path, part.source)


def _what(part: Part, name: str) -> str:
    if part.kind == "closure" and part.path.endswith(")") and name in _BOUND:
        return _BOUND[name]
    words = {"opaque": "the object", "closure": "the enclosing value", "default": "the default"}
    return f"{words.get(part.kind, f'the {part.kind}')} {name}"


def _merge(changes: list[Change]) -> list[Change]:
    """Tell once what several functions have in common: ``(used in scale and clean)``."""
    merged: list[Change] = []
    places: dict[str, int] = {}
    holders: dict[str, list[str]] = {}
    for change in changes:
        start, mark, end = change.sentence.partition(" (used in ")
        if mark and start in places:
            holders[start].append(end.removesuffix(")"))
            shown = " and ".join(dict.fromkeys(holders[start]))
            merged[places[start]] = replace(merged[places[start]], sentence=f"{start}{mark}{shown})")
        elif start not in places:
            places[start] = len(merged)
            holders[start] = [end.removesuffix(")")]
            merged.append(change)
    return merged
