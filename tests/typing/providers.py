"""What a type checker knows of ready-made tasks. Checked by mypy (test_typing.py), never run."""

from __future__ import annotations

from typing import Any, assert_type

import cascade as cs
from cascade.providers.shell import ShellResult
from cascade.spec.lazy_types import LazyMap

assert_type(cs.shell(["ls"], timeout=3), cs.LazyResult[ShellResult])
assert_type(cs.run(cs.shell("ls {x}", x="a")), ShellResult)
assert_type(cs.format("{}", 1), cs.LazyResult[str])
assert_type(cs.template("{{ x }}", x=1), cs.LazyResult[str])
assert_type(cs.dict(a=1), cs.LazyResult[dict[Any, Any]])
assert_type(cs.recv("topic", timeout=1), cs.LazyResult[Any])
assert_type(cs.format.map("{}", [1, 2]), LazyMap[str])
assert_type(cs.io.stdout("x"), cs.LazyResult[Any])
cs.lookup(cs.load_yaml("config.yml"), "a.b", default=None)
cs.wait(cs.Param("seconds", default=1.0, type=float))
cs.subflow(cs.wait(1), {"seconds": 2.0})
cs.shell(["ls"], timout=3)  # which is a value of that name, and said at the call
cs.wait("soon")  # type: ignore[arg-type]
cs.load_yaml(txt="a: 1")  # type: ignore[call-arg]
