"""Results in short: bounded in size, without secrets, never an exception."""

from __future__ import annotations

import pytest

from cascade.notebook.preview import preview


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (42, "int", "42"),
        (None, "NoneType", "None"),
        ("hello", "str", "'hello'"),
        ([1, 2, 3], "list", "[1, 2, 3]"),
        (list(range(1000)), "list", "1,000 items: [0, 1, 2, 3, 4, 5, 6, 7, ...]"),
        ({"a": 1}, "dict", "{'a': 1}"),
    ],
)
def test_small_values_are_told_whole_and_big_ones_in_short(value: object, kind: str, text: str) -> None:
    """Type and text of a value, with the count of what is left out."""
    assert preview(value) == {"type": kind, "text": text, "table": None}


@pytest.mark.slow
def test_a_data_frame_shows_its_first_rows() -> None:
    """Five rows, and how many more there are; no table where the frame itself is shown beside it."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"species": ["<b>Adelie</b>"] * 9, "mass": [1.25] * 9})
    told = preview(frame)
    assert told["text"] == "9 rows × 2 columns"
    assert told["table"] == {"columns": ["species", "mass"], "rows": [["<b>Adelie</b>", "1.25"]] * 5, "more": 4}
    assert preview(frame, table=False)["table"] is None


@pytest.mark.slow
def test_arrays_are_told_by_shape() -> None:
    """Never the numbers of a big array, neither alone nor inside something."""
    numpy = pytest.importorskip("numpy")
    big = numpy.zeros((1000, 1000))
    assert preview(big)["text"] == "1,000 × 1,000 float64"
    assert preview({"a": big})["text"] == "{'a': <ndarray 1,000 × 1,000 float64>}"


def test_a_value_that_cannot_be_shown_is_no_fault() -> None:
    """An object whose repr raises is told by its type."""

    class Shy:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    assert "Shy" in preview(Shy())["text"] or preview(Shy())["text"].startswith("cannot be shown")


def test_texts_are_bounded() -> None:
    """A megabyte of text is some lines."""
    told = preview("word " * 200_000 + "\n" * 500)
    assert len(told["text"]) < 3_000


def test_secrets_are_taken_out() -> None:
    """The run's redaction is applied to every text of the preview."""
    told = preview(["hush-hush"], redact=lambda text: text.replace("hush-hush", "•••"))
    assert told["text"] == "['•••']"
