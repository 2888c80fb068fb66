"""The files in this folder are what users write; mypy in strict mode must see them as their comments say."""

from __future__ import annotations

from pathlib import Path

import pytest
from mypy import api

ROOT = Path(__file__).resolve().parent.parent.parent
FILES = sorted(path for path in Path(__file__).parent.glob("*.py") if not path.name.startswith("test_"))


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What mypy has to say about all of them, without a cache of earlier runs."""
    cache = str(tmp_path_factory.mktemp("mypy"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        answer, errors, code = api.run(["--strict", "--cache-dir", cache, *map(str, FILES)])
    assert not errors
    assert code in (0, 1)
    return answer.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_mypy_sees(path: Path, said: list[str]) -> None:
    """Every `assert_type` holds and every `type: ignore` is needed."""
    own = [line for line in said if line.startswith(f"tests/typing/{path.name}:")]
    assert not own, "\n".join(own)


@pytest.mark.slow
def test_mypy_would_complain(tmp_path: Path) -> None:
    """A wrong use, and an `ignore` that nothing needs, are found: silence above means something."""
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "import cascade as cs\n\nlength = cs.task(len)\nlength(3)\nlength('a')  # type: ignore[arg-type]\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MYPYPATH", str(ROOT))
        patch.chdir(tmp_path)
        answer, _, code = api.run(["--strict", "--cache-dir", str(tmp_path), str(wrong)])
    assert code == 1
    assert 'wrong.py:4: error: Argument 1 to "__call__" of "Task" has incompatible type "int"' in answer
    assert 'wrong.py:5: error: Unused "type: ignore" comment' in answer
