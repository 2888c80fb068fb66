from __future__ import annotations

import inspect
import os
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cascade as cs
from cascade.providers.shell import run_program
from cascade.providers.shell_text import ShellCommandError, as_argument, place_values
from tests.providers.hostile import HOSTILE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.providers.hostile import Canary


def run(text: str, shell: str = "/bin/sh", **values: Any) -> bytes:
    """What a shell writes for a command with values."""
    command, variables = place_values(text, values)
    done = subprocess.run([shell, "-c", command], capture_output=True, check=True, env={**os.environ, **variables})
    return done.stdout


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
@pytest.mark.parametrize(
    "text", ["printf -- %s {x}", 'printf %s "{x}"', "echo $(printf -- %s {x}) >&2; printf -- %s {x}"]
)
def test_a_value_is_one_argument(shell: str, text: str) -> None:
    """Whatever a value holds, a program gets it as one argument, unchanged."""
    value = "a  b'c\"d$(e)`f`\\g;h&i|j*k?\n~#!{l}[m]"
    assert run(text, shell, x=value) == value.encode()


CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")


@pytest.mark.slow
@given(st.text(CHARACTERS, max_size=30).filter(lambda text: not text.startswith("-")))
def test_any_text_is_one_argument(value: str) -> None:
    """Text of any kind arrives as it is."""
    assert run("printf '[%s]' {x}", x=value) == f"[{value}]".encode()


def test_a_list_is_several_arguments() -> None:
    """Each item of a list is an argument of its own; an empty one is none."""
    assert run("printf '<%s>' {xs}", xs=["a b", 1, "$c"]) == b"<a b><1><$c>"
    assert run("printf '<%s>' a {xs}", xs=[]) == b"<a>"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("echo '{x}'", "single quotes"),
        ("echo 'a'\\''{x}'", "single quotes"),
        ("echo `echo {x}`", "backticks"),
        ('echo "`echo {x}`"', "backticks"),
        ("echo $(( {x} + 1 ))", "arithmetic"),
        ('echo "$((1 + {x}))"', "arithmetic"),
        ("(( {x} ))", "arithmetic"),
        ("echo ${y:-{x}}", r"\$\{…\}"),
        ('echo "${y:-"{x}"}"', r"\$\{…\}"),
        ("ls # {x}", "comment"),
        ("cat <<END\n{x}\nEND", "here-document"),
        ("cat <<'END'\n{x}\nEND", "here-document"),
        ("eval {x}", "'eval'"),
        ("if true; then eval echo {x}; fi", "'eval'"),
        ("[[ {x} -eq 1 ]]", r"'\[\['"),
        ("true; . {x}", r"'\.'"),
        ("(export {x})", "'export'"),
        ("echo $(let {x})", "'let'"),
        ('sh -c "{x}"', "'-c'"),
        ("sudo /bin/bash -ec  {x}", "'-c'"),
        ("find . | xargs sh -c 'echo'; su root -c 'a '{x}", "'-c'"),
        ("echo \\{x}", "backslash"),
        ("ls --all={x}", "a list"),
    ],
)  # fmt: skip
def test_places_where_no_value_can_stand(text: str, said: str) -> None:
    """A place where a shell would read or run a value in another way is refused, and the error says what to write."""
    with pytest.raises(ShellCommandError, match=said):
        place_values(text, {"x": ["1"] if "all" in text else "1"})


@pytest.mark.parametrize(
    "text",
    ["rm {x}", 'rm "{x}"', "rm ''{x}", "rm {empty}{x}", "rm -- a; rm {x}", "rm -- $(ls {x})", "(ls --) | rm {x}",
     "rm $(ls --) {x}", "ls #--\nrm {x}"],
)  # fmt: skip
def test_a_value_cannot_be_an_option(text: str) -> None:
    """A value that a program could take for an option is refused, unless ``--`` stands before it."""
    with pytest.raises(ShellCommandError, match=r"could take it for an option\. Write -- \{x\}"):
        place_values(text, {"x": "-rf"} | ({"empty": ""} if "empty" in text else {}))


@pytest.mark.parametrize(
    "text", ["rm -- {x}", "rm -r -- a {x}", "rm ./{x}", "rm --file={x}", "a; rm '--' {x}", "rm -- $(ls) {x}"]
)
def test_options_that_cannot_be(text: str) -> None:
    """Behind ``--``, and within a word, a dash is a dash."""
    assert place_values(text, {"x": "-rf"})[1] == {"CASCADE_VALUE_0": "-rf"}


def test_numbers_below_zero_are_no_options() -> None:
    """A number may be below 0: it can hold nothing that means harm."""
    assert run("echo {x}", x=-5) == b"-5\n"


def test_braces_that_are_no_places() -> None:
    """Variables, groups, and what stands in single quotes stay as they are; double braces give single ones."""
    for text in ("echo ${HOME} {a,b} { ls; }", "awk '{print}' f", "echo {1}"):
        assert place_values(text, {}) == (text, {})
    assert place_values("echo {{x}} {x}", {"x": 1})[0] == 'echo {x} "${CASCADE_VALUE_0}"'


def test_what_a_shell_is_given_beside_its_script() -> None:
    """Arguments of a shell's script are arguments, and ``-c`` of other programs means something else."""
    assert run("sh -c 'printf %s \"$1\"' sh {x}", x="$(a)") == b"$(a)"
    assert run("true sh -c\nprintf abc | head -c {n}", n=2) == b"ab"


def test_values_and_places_fit() -> None:
    """A place without a value, and a value without a place, are errors that name the nearest."""
    with pytest.raises(ShellCommandError, match=r"place \{flie\} but no value for it\. Did you mean 'file'\?"):
        place_values("cat {flie}", {"file": "a"})
    with pytest.raises(ShellCommandError, match=r"no place \{fiel\} for the value .* Did you mean 'file'\?"):
        place_values("cat {file}", {"file": "a", "fiel": "b"})


@pytest.mark.parametrize("name", ["env", "cwd", "stdin", "timeout", "check", "binary", "show", "max_bytes"])
def test_options_are_no_places(name: str) -> None:
    """A place that has the name of an option is told apart from one that has no value."""
    assert name in inspect.signature(run_program.func).parameters
    with pytest.raises(ShellCommandError, match="is an option"):
        place_values(f"echo {{{name}}}", {})


@pytest.mark.parametrize("value", [None, True, {"a": 1}, {1}, object(), [["a"]], [None]])
def test_what_is_no_argument(value: object) -> None:
    """None, truth, mappings and objects are no arguments: nobody means their text."""
    with pytest.raises(ShellCommandError, match="text, a path or a number"):
        place_values("echo {x}", {"x": value})


@pytest.mark.parametrize(("value", "said"), [("a\0b", "NUL"), ("\ud800", "half a character")])
def test_what_no_program_can_be_given(value: str, said: str) -> None:
    """NUL and halves of characters are said before anything starts."""
    with pytest.raises(ShellCommandError, match=said):
        as_argument(value, "It")


TEXTS = [
    "printf %s {x}", 'printf %s "{x}"', "printf %s a{x}b", 'printf %s "$(printf %s {x})"', "printf -- %s {x} | cat",
    "cat -- {x} || true", "for i in {x}; do printf %s $i; done", "case {x} in a) ;; *) printf other;; esac",
    'x={x}; printf %s "$x"', "test -e {x} || true",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
@pytest.mark.parametrize("text", TEXTS)
def test_nothing_of_a_value_runs(canary: Canary, text: str, shell: str) -> None:
    """Sixty texts that mean harm do none, in any place where a value can stand."""
    tried = 0
    for value in HOSTILE:
        try:
            command, variables = place_values(text, {"x": value})
        except ShellCommandError:
            continue
        tried += 1
        env = {**os.environ, **variables}
        subprocess.run([shell, "-c", command], capture_output=True, check=False, env=env, cwd=canary.cage, timeout=20)
    canary.check()
    assert tried >= 40


def test_a_call_tells_what_does_not_fit_at_its_own_line() -> None:
    """Nothing has to run for it; what only the run knows is left to the run."""
    late = cs.format("{}", 1)
    wrong: list[tuple[Callable[[], Any], str]] = [
        (lambda: cs.shell("wc -l {fil}", file=late), "a place {fil} but no value for it. Did you mean 'file'"),
        (lambda: cs.shell("ls", cdw="/"), "Did you mean 'cwd'"),
        (lambda: cs.shell(["ls"], timout=3), "no option 'timout'. Did you mean 'timeout'"),
        (lambda: cs.shell(["ls"], file=late), "Put the value of file into the list itself"),
        (lambda: cs.shell("echo '{x}'", x=late), "single quotes"),
        (lambda: cs.shell.map("wc -l {fil}", file=["a", "b"]), "Did you mean 'file'"),
    ]
    for call, said in wrong:
        with pytest.raises(ShellCommandError, match=re.escape(said)):
            call()
    cs.shell("cat {x} {y} {z}", x=late, y="-n", z=["a", late], timeout=3)
    cs.shell("cat {x}", x=[late])
    cs.shell(cs.format("{}", "ls"), timout=3)
    cs.shell.map("cat {x}", x=["a", "b"], max_concurrency=1, on_error="collect")
    cs.shell.map(["cat {x}", "ls {x}"], x="a")
    with pytest.raises(ShellCommandError, match="begins with '-'"):
        cs.run(cs.shell("cat {x}", x=cs.format("{}", "-n")), log_level=None)


def test_the_task_can_be_refined() -> None:
    """It shows and takes capacities as every task does."""
    assert repr(cs.shell) == "<task shell (async)>"
    call = cs.shell.with_constraints(seat=1)("echo {x}", x="a", show=False)["stdout"]
    assert cs.run(call, system_resources={"seat": 1}, log_level=None) == "a\n"
