"""A web service of the tests' own: it answers well, badly, slowly, by half and too much."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from typing import Any, Self

from aiohttp import web

__all__ = ["Service"]


class Service:
    """Serves on a free port of this machine, in a thread with a loop of its own.

    Attributes:
        url: where. seen: what was asked, as (method, path). heard: headers and body of each request.
    """

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self.heard: list[tuple[dict[str, str], bytes]] = []
        self.stored: dict[str, bytes] = {}
        self._counts: dict[str, int] = {}
        self._started = threading.Event()
        self._loop: Any = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> Self:
        """Start, and wait until it listens."""
        self._thread.start()
        assert self._started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop; whoever waits for an answer gets none."""
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    def forget(self) -> None:
        """Be as new."""
        for memory in (self.seen, self.heard, self.stored, self._counts):
            memory.clear()

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application(middlewares=[self._listen], client_max_size=1 << 30)
        for path in ("json", "echo", "status", "flaky", "reset", "partial", "silent", "drip", "huge", "bomb",
                     "redirect",
                     "login", "store", "latin", "broken_gzip"):  # fmt: skip
            app.router.add_route("*", f"/{path}", getattr(self, f"_{path}"))
            app.router.add_route("*", f"/{path}/{{rest:.*}}", getattr(self, f"_{path}"))
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._started.set()
        await self._end.wait()
        await runner.cleanup()

    @web.middleware
    async def _listen(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.seen.append((request.method, request.path_qs))
        try:
            body = await request.read()
        except OSError:
            body = b""
        self.heard.append((dict(request.headers), body))
        try:
            return await handler(request)
        except OSError:  # who asked has gone
            return web.Response()

    async def _json(self, request: web.Request) -> web.Response:
        return web.json_response({"x": [1, None, "é"]})

    async def _echo(self, request: web.Request) -> web.Response:
        said = {
            "method": request.method, "query": [*request.query.items()], "headers": dict(request.headers),
            "body": (await request.read()).decode("latin-1"), "path": request.path,
        }  # fmt: skip
        return web.Response(body=json.dumps(said).encode(), content_type="application/json")

    async def _latin(self, request: web.Request) -> web.Response:
        return web.Response(body="é".encode("latin-1"), headers={"content-type": "text/plain; charset=latin-1"})

    async def _status(self, request: web.Request) -> web.Response:
        return web.Response(status=int(request.match_info["rest"]), text="the kettle\n is <b>empty</b>\x1b[31m")

    async def _flaky(self, request: web.Request) -> web.Response:
        """Fail `times` times, then answer."""
        key = request.path_qs
        self._counts[key] = self._counts.get(key, 0) + 1
        if self._counts[key] <= int(request.query["times"]):
            after = request.query.get("after")
            headers = {} if after is None else {"retry-after": after}
            if request.query["status"] == "0":
                request.transport.close()
                return web.Response()
            return web.Response(status=int(request.query["status"]), headers=headers, text="not now")
        return web.Response(text=f"after {self._counts[key]}")

    async def _begin(self, request: web.Request, headers: dict[str, str] | None = None) -> web.StreamResponse:
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        return response

    async def _reset(self, request: web.Request) -> web.StreamResponse:
        """Break off in the middle of a body in chunks, with a reset."""
        response = await self._begin(request)
        await response.write(b"half of it")
        request.transport.abort()
        return response

    async def _partial(self, request: web.Request) -> web.StreamResponse:
        """Promise a thousand bytes and send ten."""
        response = await self._begin(request, {"content-length": "1000"})
        await response.write(b"0123456789")
        request.transport.close()
        return response

    async def _silent(self, request: web.Request) -> web.Response:
        await self._end.wait()
        return web.Response()

    async def _drip(self, request: web.Request) -> web.StreamResponse:
        """A byte now and then, without an end."""
        response = await self._begin(request)
        while not self._end.is_set():
            await response.write(b".")
            await asyncio.sleep(0.02)
        return response

    async def _huge(self, request: web.Request) -> web.StreamResponse:
        """Megabytes without an end, and without saying how many."""
        response = await self._begin(request)
        while not self._end.is_set():
            await response.write(b"x" * 100_000)
        return response

    async def _bomb(self, request: web.Request) -> web.Response:
        """Small on the wire, large when unpacked."""
        body = gzip.compress(b"\0" * 20_000_000)
        return web.Response(body=body, headers={"content-encoding": "gzip"})

    async def _broken_gzip(self, request: web.Request) -> web.Response:
        return web.Response(body=b"this is not gzip", headers={"content-encoding": "gzip"})

    async def _redirect(self, request: web.Request) -> web.Response:
        status = int(request.query.get("status", "302"))
        return web.Response(status=status, headers={"location": request.query["to"]})

    async def _login(self, request: web.Request) -> web.Response:
        response = web.Response(text="in")
        response.set_cookie("visit", "cookie-of-this-host")
        return response

    async def _store(self, request: web.Request) -> web.Response:
        key = request.match_info["rest"]
        if request.method in ("PUT", "POST"):
            self.stored[key] = await request.read()
            return web.Response(status=201)
        if request.method == "DELETE":
            return web.Response(status=204 if self.stored.pop(key, None) is not None else 404)
        if key not in self.stored:
            return web.Response(status=404, text="no such thing")
        return web.Response(body=self.stored[key])
