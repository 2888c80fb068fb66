"""What a cell holds while a widget lives, and the last picture for a page that has an older one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cascade.notebook.bundle import LIVE_MIME, SAVED, WIDGET_MIME, live_bundle, static_bundle
from tests.notebook.kernel import DOCUMENT, LIVE
from tests.notebook.test_bundle import record_of

if TYPE_CHECKING:
    from tests.notebook.kernel import Kernel

CONTROLS = """
import cascade.notebook.watching as watching
nobody = watching.has_front_end
watching.has_front_end = lambda shell: True
target = cs.task(lambda n, key: n + len(key))(cs.Param("n", default=3, bounds=(1, 9)),
                                             cs.Param("key", default="hunter2", secret=True))
ui = cs.controls(target)
"""
PAGE = """
from cascade.notebook.view.link import Link

class Page:
    def __init__(self): self.heard = []
    def on_msg(self, take): self.take = take
    def send(self, message): self.heard.append(message)

page = Page()
link = Link(session, page)
"""


def test_beside_the_widget_stand_the_document_and_a_picture_that_says_when_it_was() -> None:
    """Four types, the document under a name of its own: that a bundle has a finished run means that it is over."""
    record = record_of()
    document = record.document()
    made = live_bundle("abc", document, static_bundle(document, record.drawing.shape, SAVED))
    assert list(made) == [LIVE_MIME, WIDGET_MIME, "text/html", "text/plain"]
    assert made[LIVE_MIME] == document
    assert made[WIDGET_MIME]["model_id"] == "abc"
    assert "Saved while it ran." in made["text/html"]
    assert made["text/plain"].endswith("Saved while it ran.")


@pytest.mark.kernel
@pytest.mark.slow
def test_controls_are_saved_with_their_form_and_without_secrets(kernel: Kernel) -> None:
    """While they live, and once they are closed: fields, values, and nothing of a secret."""
    cell = kernel.run(CONTROLS, "saved")
    assert cell.ok, cell.error
    form = cell.bundle[LIVE]["controls"]
    assert [field["name"] for field in form["fields"]] == ["n", "key"]
    assert form["values"] == ["3", ""]
    assert "hunter2" not in str(cell.bundle)
    assert kernel.run("watching.has_front_end = nobody").ok
    assert kernel.run("ui.set(n=5)\nui.close()").ok
    assert cell.bundle[DOCUMENT]["controls"]["values"] == ["5", ""]
    assert "hunter2" not in str(cell.bundle)


@pytest.mark.kernel
@pytest.mark.slow
def test_a_page_with_an_older_picture_gets_the_last_one(kernel: Kernel) -> None:
    """Only when it asks for it: the finished bundle of the run, once."""
    assert kernel.run(PAGE).ok
    assert kernel.run("%%cascade\ncs.task(lambda: 41 + 1)()").ok
    assert kernel.run("run = session().latest().run.run_id").ok
    hello = "page.take({{'content': {{'data': {{'type': 'hello', 'run': run{}}}}}}})"
    assert kernel.run(hello.format("")).ok
    assert kernel.run(hello.format(", 'open': True")).ok
    assert kernel.run("wait_until(lambda: len(page.heard) == 3)").ok
    assert kernel.value("[message['type'] for message in page.heard]") == ["known", "known", "finished"]
    assert kernel.value("sorted(page.heard[-1]['bundle'])") == [DOCUMENT, "text/html", "text/plain"]
    assert kernel.value("page.heard[-1]['bundle']['application/vnd.cascade.run+json']['run']['state']") == "completed"
