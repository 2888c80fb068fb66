"""What identity refuses: things that have no key.

In: names from the place where the walk met them. Out: exceptions that say what to do. Invariant: as everywhere, the
words are made by named constructors.
"""

from __future__ import annotations

from cascade.interfaces.exceptions import CascadeError

__all__ = ["IdentityError", "opaque_warning"]


class IdentityError(CascadeError, TypeError):
    """Something has no key, and nobody said what may stand for it."""

    @classmethod
    def for_opaque(cls, label: str, where: str, kind: str) -> IdentityError:
        """A strict key met an object that cannot be keyed by value."""
        return cls(f"The code of '{label}' has no strict key: {where} is of type {kind}, {_WHY}. {_advice()}")

    @classmethod
    def for_argument(cls, label: str, why: str) -> IdentityError:
        """A strict policy met an argument that cannot be keyed."""
        return cls(
            f"Task '{label}' cannot be remembered, and its policy is strict: {why}. Pass plain data instead, name the "
            "argument in ignore=…, or leave strict out."
        )

    @classmethod
    def for_callable(cls, given: object) -> IdentityError:
        """`code_key` of something that is not code."""
        return cls(
            f"An object of type {type(given).__name__} has no code key. Pass a task, a function or another callable; "
            "for values there is data_key."
        )

    @classmethod
    def for_depth(cls, label: str) -> IdentityError:
        """Functions that call functions, beyond Python's own limit."""
        return cls(
            f"The code of '{label}' calls functions nested too deeply to be walked. Give it a version with version=…, "
            "or raise sys.setrecursionlimit."
        )

    @classmethod
    def for_secret(cls) -> IdentityError:
        """`secret_key` without a key."""
        return cls("A secret cannot be keyed with an empty key. Pass the bytes of the key file.")

    @classmethod
    def for_record(cls, problem: str) -> IdentityError:
        """A stored code key that cannot be read."""
        return cls(f"The stored code key is not valid: {problem}. Compute it again with code_key.")


_WHY = "which cannot be keyed by value"


def opaque_warning(label: str, where: str, kind: str) -> str:
    """Return the sentence that warns of an object which cannot be keyed by value."""
    return f"'{label}' uses {where}, of type {kind}, {_WHY}: when it changes, stored results still count. {_advice()}"


def _advice() -> str:
    return (
        "Name what it depends on with @cs.task(depends_on=…), give the code a version with version=…, "
        "or take the object as an argument and name that in ignore=…."
    )
