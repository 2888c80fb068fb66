from __future__ import annotations

import pickle
from contextlib import suppress

import pytest

import cascade as cs
from cascade.providers.template import TemplateError
from tests.providers.hostile import HOSTILE, Canary

render = cs.template.func


def test_it_renders() -> None:
    """Loops, conditions, filters and macros work; the last line end is kept."""
    text = "{% for n in names if n %}{{ n|upper }} {% else %}none{% endfor %}\n"
    assert cs.run(cs.template(text, names=cs.dict(a=["a", "", "b"])["a"]), log_level=None) == "A B \n"
    assert render("{% macro twice(x) %}{{ x }}{{ x }}{% endmacro %}{{ twice(2 * 3) }}") == "66"


def test_a_missing_name_is_an_error() -> None:
    """The error names the line, the name, and the nearest one that there is; it can be pickled."""
    said = r"In line 2 of the template: 'nmae' is undefined\. Did you mean 'name'\?"
    with pytest.raises(TemplateError, match=said) as caught:
        cs.run(cs.template("{{ name }}\n{{ nmae }}", name="x"), log_level=None)
    assert pickle.loads(pickle.dumps(caught.value)).line == caught.value.line == 2
    with pytest.raises(TemplateError, match="has no attribute 'b'"):
        render("{{ a.b }}", a={"c": 1})
    assert render("{{ b is defined }} {{ b|default('x') }}") == "False x"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\n{% for x in %}", "In line 2 of the template"),
        ("{{ x|nofilter }}", "nofilter"),
        ("{{ x.__class__ }}", "A template may use its values"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "what is behind them"),
        ("{{ f.__globals__ }}", "what is behind them"),
        ("{{ x.append(1) }}", "what is behind them"),
        ("{{ '%s'.format.__self__ }}", "no attribute"),
        ("{{ '{0.__class__}'.format(x) }}", "what is behind them"),
        ("{{ ''|attr('__class__') }}", "what is behind them"),
        ("{% include '/etc/passwd' %}", "."),
        ("{% extends 'a' %}", "."),
        ("{{ 'a' * 1000000000 }}", "repetitions"),
        ("{{ 10 ** 1000000000 }}", "power"),
        ("{% for i in range(1000000000) %}{% endfor %}", "OverflowError"),
        ("{{ [x]|random }}", "random"),
        ("{{ lipsum() }}", "undefined"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ x + 'a' }}", "TypeError"),
    ],
)  # fmt: skip
def test_what_is_refused(text: str, said: str) -> None:
    """What cannot be read, reaches behind values, loads files, or would fill the memory is an error in words."""
    with pytest.raises(TemplateError, match=said):
        render(text, x=[1], f=test_it_renders)


def test_html_can_be_escaped() -> None:
    """With ``autoescape=True`` values are safe within HTML."""
    assert render("<b>{{ x }}</b>", x="<i>") == "<b><i></b>"
    assert render("<b>{{ x }}</b>", x="<i>", autoescape=True) == "<b>&lt;i&gt;</b>"


def test_values_do_not_become_templates() -> None:
    """What looks like a template within a value is text."""
    assert render("{{ x }}", x="{{ 7 * 7 }}") == "{{ 7 * 7 }}"


def test_nothing_hostile_happens(canary: Canary) -> None:
    """Sixty texts that mean harm are shown as they are, or refused as templates."""
    for text in HOSTILE:
        assert render("{{ x }}", x=text) == text
        with suppress(TemplateError):
            shown = render(text, x="v")
            assert shown == text.replace("\r\n", "\n") or text == "{{}}"
    canary.check()
