"""An observer in a process of its own: `python observer_child.py AFTER`; prints run, task and state of each message."""

from __future__ import annotations

import asyncio
import sys

from cascade.adapters.connectors.local import LocalConnector


async def main(after: int) -> None:
    """Print until the end of input."""
    async with LocalConnector() as connector:

        def show(topic, payload):
            body = payload["body"]
            sys.stdout.write(f"{payload['run_id']} {body.get('task_id', body.get('event'))} {body.get('state', '')}\n")
            sys.stdout.flush()

        await connector.subscribe("cascade/telemetry/#", show, after=after)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
