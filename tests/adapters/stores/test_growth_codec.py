"""Calls as bytes: what comes back is a text and values, and nothing else is ever made of them."""

from __future__ import annotations

import pickle
import struct

import numpy as np
import pandas as pd
import pytest

from cascade.adapters.stores.codecs import Codecs, default_codecs
from cascade.interfaces.records import GROWTH, Grown
from cascade.interfaces.store_errors import CodecError


@pytest.fixture
def codecs() -> Codecs:
    """What a new store has."""
    return default_codecs()


def written(codecs: Codecs, value: object) -> bytes:
    name, parts = codecs.encode(value)
    assert name == GROWTH
    return b"".join(bytes(part) for part in parts)


def test_text_arrays_and_frames_come_back(codecs: Codecs) -> None:
    """With their types; an array may be written to."""
    value = Grown('{"é": 1}', (np.arange(3.0), pd.DataFrame({"a": [1, 2]}), np.asarray(np.float32(2))))
    found = codecs.decode(GROWTH, memoryview(written(codecs, value)))
    assert type(found) is Grown
    assert found.text == value.text
    assert found.leaves[0].tolist() == [0.0, 1.0, 2.0]
    found.leaves[0][0] = 5
    pd.testing.assert_frame_equal(found.leaves[1], value.leaves[1])
    assert found.leaves[2][()] == np.float32(2)
    assert type(found.leaves[2][()]) is np.float32


@pytest.mark.parametrize("leaf", [object(), print, {"a": np.arange(2)}, np.array([print], dtype=object), 1])
def test_everything_else_is_refused(codecs: Codecs, leaf: object) -> None:
    """Pickle is never asked: neither for what stands beside the text, nor for the whole."""
    with pytest.raises(CodecError):
        codecs.encode(Grown("{}", (leaf,)))
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps(Grown("{}"))


def test_other_bytes_are_an_error(codecs: Codecs) -> None:
    """Cut, longer, with another head, or with a codec that it may not have."""
    good = written(codecs, Grown("{}", (np.arange(3),)))
    bad = [b"", good[:4], good[:-1], good + b"x", struct.pack("<Q", 1 << 60) + good[8:]]
    bad += [good.replace(b'"npy"', b'"pickle"'), good.replace(b'[""', b'["npy"')]
    bad += [
        struct.pack("<Q", len(head)) + head
        for head in (b"[]", b"[1]", b'[["", -1]]', b'[["", true]]', b"{}", b'[["",9]]')
    ]
    for data in bad:
        with pytest.raises(CodecError):
            codecs.decode(GROWTH, memoryview(data))
