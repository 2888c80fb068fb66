"""What can go wrong when a notebook's work leaves it: what happened, in which cell, and what to do.

In: names and places from the fault. Out: errors whose text can be read alone. Invariant: the words are made here.
"""

from __future__ import annotations

from collections.abc import Iterable

from cascade.interfaces.exceptions import CascadeError, nearest

__all__ = ["ExportError", "VerifyError"]


class ExportError(CascadeError, ValueError):
    """Something that the target needs cannot be written down as a module."""

    @classmethod
    def for_all(cls, problems: Iterable[str]) -> ExportError:
        """Everything that stands in the way, each thing once."""
        listed = list(dict.fromkeys(problems))
        if len(listed) == 1:
            return cls(listed[0])
        lines = "\n".join(f"  - {problem}" for problem in listed)
        return cls(f"{len(listed)} things cannot be exported:\n{lines}")

    @classmethod
    def for_no_target(cls) -> ExportError:
        """Nothing says what to export."""
        return cls(
            "There is nothing to export: no %%cascade cell has run yet. Run one, "
            "or name the target: %cascade export flow.py report."
        )

    @classmethod
    def for_target(cls, expression: str, kind: str) -> ExportError:
        """A target that runs nothing."""
        return cls(
            f"The target '{expression}' is of type {kind}, not a lazy result. "
            "Name what a %%cascade cell would run, such as report(clean(load()))."
        )

    @classmethod
    def for_existing(cls, path: str) -> ExportError:
        """A file of that name."""
        return cls(f"'{path}' is there already and was not touched. Choose another name, or add --force.")

    @classmethod
    def for_folder(cls, path: str, why: str) -> ExportError:
        """A file that cannot be written."""
        return cls(f"'{path}' cannot be written: {why}. Choose another place.")

    @classmethod
    def for_suffix(cls, path: str) -> ExportError:
        """Not a module."""
        return cls(f"The export is a Python module, so its name ends in .py, unlike '{path}'. Write {path}.py.")

    @staticmethod
    def say_magic(place: str, magic: str, name: str) -> str:
        """IPython syntax in code that the target needs."""
        return (
            f"{place}: '{name}' needs {magic}, which only IPython understands. Move that line to a cell of its own "
            "if nothing depends on it, or write it in Python (subprocess.run instead of !, cs.shell for a task)."
        )

    @staticmethod
    def say_notebook_name(place: str, name: str, used: str) -> str:
        """``display``, ``In``, ``Out`` and the like."""
        return (
            f"{place}: '{name}' uses '{used}', which only exists in a notebook. "
            "Return the value instead of showing it, or import what you need by name."
        )

    @staticmethod
    def say_await(place: str, name: str) -> str:
        """Top-level await."""
        return f"{place}: '{name}' is made with a top-level await, which a module cannot have. Make it an async task."

    @staticmethod
    def say_missing(place: str, name: str, used: str, known: Iterable[str]) -> str:
        """A name that nothing defines."""
        return (
            f"{place}: '{name}' uses '{used}', which no cell defines any more."
            f"{nearest_only(used, known)} Run the cell that defines it."
        )

    @staticmethod
    def say_no_source(place: str, name: str, used: str, kind: str) -> str:
        """A value without a statement that makes it."""
        return (
            f"{place}: '{name}' uses '{used}' (a {kind}), and no cell shows how it was made. Write '{used} = …' in a "
            "cell, or pass the value to the task as an argument."
        )

    @staticmethod
    def say_result(place: str, name: str) -> str:
        """The result of a run, bound by ``-o``."""
        return (
            f"{place}: the target needs '{name}', which is the result of the run there (-o {name}). "
            "Pass the lazy result itself to the task, so that the file can compute it."
        )

    @staticmethod
    def say_stale(place: str, name: str, used: str, old: str, new: str) -> str:
        """Something made with an older version of a definition."""
        return (
            f"{place}: '{name}' was made with '{used}' as it was in {old}; {new} defines it differently. "
            f"Run the cell of '{name}' again, then export."
        )


class VerifyError(CascadeError, RuntimeError):
    """The notebook cannot be run somewhere else."""

    @classmethod
    def for_no_notebook(cls) -> VerifyError:
        """Nobody says which file this notebook is."""
        return cls(
            "This front end does not say which file the notebook is. Name it: %cascade verify lesson.ipynb "
            "(save it first)."
        )

    @classmethod
    def for_missing(cls, path: str, known: Iterable[str]) -> VerifyError:
        """No such file."""
        hint = nearest_only(path, known)
        return cls(f"There is no notebook '{path}' in this folder.{hint} Save the notebook, then name its file.")

    @classmethod
    def for_reading(cls, path: str, why: str) -> VerifyError:
        """Not a notebook."""
        return cls(f"'{path}' cannot be read as a notebook: {why}.")

    @classmethod
    def for_library(cls, name: str) -> VerifyError:
        """Something that is needed is not installed."""
        return cls(
            f"%cascade verify runs the notebook with {name}, which is not installed. Install it: pip install {name}"
        )

    @classmethod
    def for_itself(cls) -> VerifyError:
        """A notebook that verifies itself would never end."""
        return cls("This notebook is being verified; it does not verify itself once more.")


def nearest_only(name: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` or nothing; a list of all names of a notebook would not help."""
    hint = nearest(name, known)
    return hint if hint.startswith(" Did") else ""
