"""The live shell: the anywidget module with a model that stands for JupyterLab's."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

HOST = """async ([code, snapshot]) => {
  const module = await import(URL.createObjectURL(new Blob([code], {type: 'text/javascript'})));
  const listeners = new Map();
  window.sent = [];
  window.model = {
    snapshot,
    get: (name) => window.model[name],
    send: (content) => window.sent.push(content),
    on: (event, listener) => listeners.set(event, [...(listeners.get(event) ?? []), listener]),
    off: (event, listener) => listeners.set(event, (listeners.get(event) ?? []).filter((one) => one !== listener)),
  };
  window.tell = (event, content) => (listeners.get(event) ?? []).forEach((listener) => listener(content));
  window.listening = () => [...listeners.values()].flat().length;
  const el = document.getElementById('one');
  window.again = (model) => module.default.render({model, el});
  window.render = () => { window.leave = module.default.render({model: window.model, el}); };
  window.render();
}"""


@pytest.fixture
def host(stage: Any, samples: Any, widget_code: str) -> Any:
    """A page whose only script is the module itself, showing five nodes."""
    one = stage()
    one.page.evaluate(HOST, [widget_code, samples.small() | {"display": "first"}])
    one.requests.clear()  # the module's own blob
    one.settle()
    return one


@pytest.fixture
def widget_code(static: Any) -> str:
    """The text that travels with each widget."""
    return str((static / "widget.js").read_text(encoding="utf-8"))


def tell(host: Any, content: dict[str, Any]) -> None:
    """A custom message from the kernel."""
    host.page.evaluate("(content) => tell('msg:custom', content)", content)
    host.settle()


def test_it_asks_for_what_it_missed(host: Any) -> None:
    """Frames sent before the view listened are lost, so it asks for the truth once, at the start."""
    assert host.sent == [{"type": "snapshot"}]


def test_frames_and_snapshots_are_drawn(host: Any, samples: Any) -> None:
    """A frame in its turn is drawn; after a gap the view asks, and the snapshot that comes is drawn."""
    tell(host, {"type": "snapshot", "snapshot": samples.small()})
    tell(host, {"type": "frame", "seq": 1, "nodes": {"clean": samples.entry("done", 0.4, 1.0, "0.6 s")}})
    assert host.page.locator(".cascade-node.cascade-s-done").count() == 2
    tell(host, {"type": "frame", "seq": 5, "nodes": {"fit": samples.entry("done", 1.0, 2.0)}})
    assert host.sent == [{"type": "snapshot"}, {"type": "snapshot"}]
    tell(host, {"type": "frame", "seq": 6})
    assert len(host.sent) == 2, "it asks once, not for each frame"
    whole = samples.small() | {"seq": 6}
    whole["nodes"]["fit"] = samples.entry("failed", 1.0, 2.0)
    tell(host, {"type": "snapshot", "snapshot": whole})
    assert host.page.locator(".cascade-node.cascade-s-failed").count() == 1


def test_a_new_trait_is_drawn(host: Any, samples: Any) -> None:
    """When the kernel sets the trait itself, that is drawn too."""
    whole = samples.small("completed") | {"seq": 9}
    host.page.evaluate("(whole) => { model.snapshot = whole; tell('change:snapshot'); }", whole)
    host.settle()
    assert host.page.locator(".cascade-head .cascade-status").inner_text().startswith("done")


def test_buttons_send_commands(host: Any) -> None:
    """A click is one small message to the kernel."""
    host.page.get_by_role("button", name="Cancel").click()
    assert host.sent[-1] == {"type": "command", "command": "cancel"}


def test_rendered_again_it_is_as_before(host: Any) -> None:
    """JupyterLab may take the view away and render it again: nothing of the old one stays, what was open is open."""
    host.page.get_by_role("button", name="Table", exact=True).click()
    host.page.evaluate("leave()")
    assert host.page.locator(".cascade-view").count() == 0
    assert host.page.evaluate("listening()") == 0
    host.page.evaluate("render()")
    assert host.page.get_by_role("button", name="Table", exact=True).get_attribute("aria-pressed") == "true"
    assert host.page.locator(".cascade-node").count() == 5


def test_two_displays_of_one_run_keep_their_own(host: Any, samples: Any) -> None:
    """What was opened in one display of a run is not open in another one of the same run."""
    host.page.get_by_role("button", name="Table", exact=True).click()
    other = samples.small() | {"display": "second"}
    host.page.evaluate("(snapshot) => again({...model, snapshot, get: () => snapshot})", other)
    buttons = host.page.get_by_role("button", name="Table", exact=True).all()
    pressed = [one.get_attribute("aria-pressed") for one in buttons]
    assert pressed == ["true", "false"]
