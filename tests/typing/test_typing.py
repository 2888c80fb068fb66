"""The files in this folder are what users write; mypy in strict mode must see them as their comments say."""

from __future__ import annotations

from pathlib import Path

import pytest
from mypy import api

ROOT = Path(__file__).resolve().parent.parent.parent
FILES = sorted(path for path in Path(__file__).parent.glob("*.py") if not path.name.startswith("test_"))


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_mypy_sees(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every `assert_type` holds and every `type: ignore` is needed."""
    monkeypatch.chdir(ROOT)
    said, errors, code = api.run(["--strict", "--cache-dir", str(tmp_path), str(path)])
    own = [line for line in said.splitlines() if path.name in line]
    assert not errors
    assert not own, "\n".join(own)
    assert code in (0, 1)
