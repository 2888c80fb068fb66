"""`cascade replay` and `cascade report`: a journal → the story of a run, or its page.

In: a file that `JournalSink` wrote. Out: text, JSON or an HTML file. Invariant: reads the journal and nothing else; a
run that the journal does not hold is named with those that it does.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cascade.adapters.sinks.journal import ReplayedRun, replay
from cascade.cli.codes import CommandError
from cascade.cli.output import say, show
from cascade.interfaces.exceptions import nearest
from cascade.interfaces.naming import clip
from cascade.interfaces.remote_errors import JournalError
from cascade.messaging.renderer import one_line

__all__ = ["replay_journal"]


def replay_journal(file: str, word: str | None, page: str, *, as_json: bool) -> None:
    """Tell a run of a journal, or write it as a page where `page` names a file.

    Raises:
        CommandError: when the file is no journal, or holds no such run, or several and none is named.
    """
    run = _read(file, word)
    if page:
        say(f"The report is in {one_line(str(run.report(page)))}.")
    elif as_json:
        show([*_events(run)], as_json=True)
    else:
        show(_story(run), as_json=False)


def _read(file: str, word: str | None) -> ReplayedRun:
    try:
        return replay(file, None if word is None else _full_id(file, word))
    except JournalError as error:
        raise CommandError(str(error).replace("run_id=", "its id after the file")) from None
    except OSError as error:
        raise CommandError.for_file(f"'{clip(file)}'", (error.strerror or str(error)).lower()) from None


def _full_id(file: str, word: str) -> str:
    """Return the id that begins so; the file is read line by line for it."""
    import json

    ids: dict[str, None] = {}
    with Path(file).open("rb") as lines:
        for line in lines:
            try:
                ids[str(json.loads(line)["run_id"])] = None
            except (ValueError, KeyError, TypeError):
                continue
    found = [run_id for run_id in ids if run_id.startswith(word)]
    if len(found) == 1 or word in found:
        return word if word in found else found[0]
    hint = f" {len(found)} runs begin so: give more of the id." if found else nearest(word, ids)
    raise CommandError.unreached(f"'{clip(file)}' holds no run '{clip(word)}'.{hint}")


def _story(run: ReplayedRun) -> str:
    """Return the run as text: moment by moment, then how it ended."""
    told = run.replay()
    text = told if isinstance(told, str) else repr(run)
    if run.state == "running":
        return f"{text}\nThe journal breaks off here: the run was killed, or still goes on."
    return f"{text}\n{one_line(run.error)}" if run.error else text


def _events(run: ReplayedRun) -> Iterator[dict[str, Any]]:
    from dataclasses import fields

    for event in run.events:
        told = {field.name: getattr(event, field.name) for field in fields(event)}
        if "kind" in told:  # of a resource; in a line the word stands for the event's own
            told["what"] = told.pop("kind")
        yield {"kind": type(event).__name__, **told}
