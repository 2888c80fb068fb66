"""``cs.load_yaml``: YAML → plain data.

In: a file, or text. Out: dicts, lists, text, numbers, dates. Invariant: reading makes data only, whatever tags the text
has; a key that comes twice, data that contain themselves and text that would unfold without end are errors.
"""

from __future__ import annotations

from functools import cache
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Final

import cascade as cs
from cascade.providers.errors import ProviderError, clip, hide_logins, short
from cascade.providers.registry import require
from cascade.providers.storage import is_address
from cascade.providers.storage_faults import FileMissingError, told_of

__all__ = ["YamlError", "load_yaml"]

_MOST: Final = 10_000_000  # values, each counted as often as it is met
_DEEPEST: Final = 200
_LARGEST: Final = 100_000_000  # bytes of a file


class YamlError(ProviderError, ValueError):
    """A text is no YAML, or not such that it gives plain data."""

    @classmethod
    def at(cls, where: str, line: int | None, problem: str) -> YamlError:
        """Something is wrong in a line, from 1."""
        place = f"{where}, line {line}" if line else where
        return cls(f"{place}: {problem}. Mend the YAML there.")


@cs.task(name="load_yaml")
def load_yaml(path: str | PathLike[str] | None = None, /, *, text: str | None = None, many: bool = False) -> Any:
    """Read a YAML file, or YAML text, as plain data.

    It reads anew in each run. To have the data stored, pass ``cs.File(path)``, which counts by what the file holds, and
    add ``.with_cache(…)``.

    Args:
        path: of the file. text: the YAML itself, instead of a file.
        many: read all documents, those between lines of ``---``, as a list.

    Raises:
        YamlError: with the line, when it cannot be read as plain data. OSError: when the file cannot be read.

    Example:
        >>> import cascade as cs
        >>> cs.run(cs.load_yaml(text="model: {depth: 3, rate: 0.1}"), log_level="ERROR")
        {'model': {'depth': 3, 'rate': 0.1}}
    """
    yaml = require("yaml", provider="load_yaml", extra="text")
    if (path is None) == (text is None):
        raise ProviderError("cs.load_yaml takes the path of a file, or text=…, and one of them only.")
    if path is not None and not isinstance(path, (str, PathLike)):
        raise ProviderError(f"The path of a YAML file is text or a path, not {short(path)}.")
    if path is not None and is_address(fspath(path)):
        given = short(hide_logins(fspath(path)))
        raise ProviderError(f"{given} is an address. Have it read first: cs.load_yaml(text=cs.read.text(address)).")
    where = "The YAML text" if path is None else f"The file {clip(fspath(path))}"
    source = text if path is None else _read(path)
    if not isinstance(source, str):
        raise ProviderError(f"text= of cs.load_yaml is text, not {type(source).__name__}.")
    try:
        _check_depth(source, where)
        found = list(yaml.load_all(source, _loader()))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or type(error).__name__
        raise YamlError.at(where, mark.line + 1 if mark is not None else None, clip(problem)) from None
    except RecursionError:
        raise YamlError.at(where, None, "it is nested too deeply") from None
    except (ValueError, TypeError, OverflowError) as error:  # such as the 31st of February
        raise YamlError.at(where, None, clip(error)) from None
    _check_size(found, where)
    if many:
        return found
    if len(found) > 1:
        raise YamlError.at(where, None, f"it has {len(found)} documents; read them with many=True")
    return found[0] if found else None


def _read(path: str | PathLike[str]) -> str:
    try:
        file = Path(path).expanduser() if fspath(path).startswith("~") else Path(path)
        with told_of(file, str(file), None, "read"):
            if file.stat().st_size > _LARGEST:
                raise YamlError.at(f"The file {clip(file)}", None, f"it has more than {_LARGEST:,} bytes")
            return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise YamlError.at(f"The file {clip(path)}", None, f"byte {error.start + 1} is not UTF-8") from None
    except FileMissingError as error:
        raise error.with_hint("To read YAML that is text already, write text=….") from None
    except ValueError as error:
        if isinstance(error, YamlError):
            raise
        raise YamlError.at(f"The path {short(path)}", None, str(error)) from None


@cache
def _loader() -> Any:
    """Return what makes plain data, and refuses a key that comes twice."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        """Reads plain data."""

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - as it is called
            """Make a dict of a mapping without double keys."""
            seen: set[Any] = set()
            for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
                if key.tag != "tag:yaml.org,2002:merge" and isinstance(key, yaml.ScalarNode):
                    if (key.tag, key.value) in seen:
                        problem = f"the key {clip(repr(key.value))} comes twice"
                        raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                    seen.add((key.tag, key.value))
            return super().construct_mapping(node, deep=deep)

    return Loader


def _check_depth(text: str, where: str) -> None:
    """Refuse what is nested so deeply that the C library, which makes values one within the other, ends the process."""
    import yaml

    depth = 0
    for event in yaml.parse(text, _loader()):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEEPEST:
                line = event.start_mark.line + 1 if event.start_mark is not None else None
                raise YamlError.at(where, line, f"it is nested more than {_DEEPEST} deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _check_size(found: Any, where: str) -> None:
    """Refuse data that contain themselves, or would unfold without end: what reads them next would never stop."""
    sizes: dict[int, int] = {}
    open_: set[int] = set()
    stack: list[tuple[Any, bool]] = [(found, False)]
    while stack:
        value, is_done = stack.pop()
        parts = _parts(value)
        if parts is None or id(value) in sizes:
            continue
        if is_done:
            open_.discard(id(value))
            sizes[id(value)] = 1 + sum(sizes.get(id(part), 1) for part in parts)
            if sizes[id(value)] > _MOST:
                raise YamlError.at(where, None, f"its aliases unfold to more than {_MOST:,} values")
            continue
        if id(value) in open_:
            raise YamlError.at(where, None, "a value contains itself")
        open_.add(id(value))
        stack.append((value, True))
        stack.extend((part, False) for part in parts)


def _parts(value: Any) -> list[Any] | None:
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, (list, tuple, set)) else None
