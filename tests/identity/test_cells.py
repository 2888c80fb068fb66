from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CELLS = """
import json, sys, warnings
warnings.simplefilter("ignore")
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
found = []

def cell(text):
    result = shell.run_cell(text)
    result.raise_error()
    return result.result

cell("from cascade.identity.code import code_key\\nimport numpy as np")
EDITS = [(2, "", ""), (2, "# why\\n\\n", ""), (2, "", "%%time\\n"), (3, "# why\\n", ""), (3, "", "%%capture\\n")]
for factor, comment, magic in EDITS:
    cell(f"{magic}{comment}def helper(x):\\n    {comment.strip() or 'pass'}\\n    return x * {factor}")
    cell(f"{comment}def work(x, n=1):\\n    'Doc {comment.strip()}'\\n    return np.sum(helper(x)) + n")
    found.append(cell("code_key(work)"))
from cascade.identity.explain import explain_code
told = [str(c) for c in explain_code(found[0], found[3])]
print(json.dumps([[k.digest for k in found], told, [list(k.warnings) for k in found], len(found[0].parts)]))
"""


@pytest.mark.slow
@pytest.mark.kernel
def test_functions_of_cells(tmp_path: Path) -> None:
    """Cells run again with other comments keep the key, also under a magic; an edit is told with its line."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "IPYTHONDIR": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", CELLS], env=environment, capture_output=True, text=True, check=True)
    digests, told, warnings, parts = json.loads(run.stdout.splitlines()[-1])
    assert digests[0] == digests[1] == digests[2] != digests[3] == digests[4]
    assert told == ["helper helper changed, line 4 (2 → 3)"]
    assert warnings == [[]] * 5
    assert parts == 5
