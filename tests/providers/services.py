"""Services of the tests' own that fsspec reaches: a gateway of IPFS, and Google's storage.

Each serves on a free port of this machine, in a thread, until its ``with`` block ends.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Gateway", "google_storage"]


class Gateway:
    """A gateway of IPFS: it gives files, and their blocks as CAR, by what identifies their content.

    Attributes:
        url: where. asked: the paths that somebody asked for.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._blocks: dict[Any, bytes] = {}
        self._names: dict[tuple[Any, str], Any] = {}

    def add(self, content: bytes) -> str:
        """Keep a file; return its content identifier."""
        return str(self._keep("raw", content))

    def add_folder(self, files: Mapping[str, bytes]) -> str:
        """Keep a folder; return its content identifier."""
        from ipfsspec.unixfsv1 import Data, DataType, PBLink, PBNode

        inside = {name: self._keep("raw", content) for name, content in files.items()}
        links = [PBLink(bytes(cid), name, len(files[name])) for name, cid in inside.items()]
        node = PBNode(links, bytes(Data(DataType.Directory).dumps()))
        folder = self._keep("dag-pb", bytes(node.dumps()))
        self._names.update({(folder, name): cid for name, cid in inside.items()})
        return str(folder)

    def _keep(self, codec: str, content: bytes) -> Any:
        from multiformats import CID, multihash

        cid = CID("base32", 1, codec, multihash.digest(content, "sha2-256"))
        self._blocks[cid] = content
        return cid

    async def _answer(self, request: web.Request) -> web.Response:
        import dag_cbor
        from multiformats import CID, varint

        path = request.match_info["path"]
        self.asked.append(path)
        first, *names = path.split("/")
        try:
            roots = [CID.decode(first)]
        except (ValueError, KeyError):
            return web.Response(status=400, text="invalid CID")
        for name in names:
            roots.append(self._names.get((roots[-1], name)))
        if roots[-1] not in self._blocks:
            return web.Response(status=404, text="no link by that name")
        block = self._blocks[roots[-1]]
        if request.query.get("format") != "car":
            return web.Response(body=block)
        parts = [dag_cbor.encode({"version": 1, "roots": [roots[-1]]}), bytes(roots[-1]) + block]
        body = b"".join(varint.encode(len(part)) + part for part in parts)
        return web.Response(body=body, headers={"X-Ipfs-Roots": ",".join(map(str, roots))})

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application()
        app.router.add_get("/ipfs/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._started.set()
        await self._end.wait()
        await runner.cleanup()

    def __enter__(self) -> Self:
        """Start, and wait until it listens."""
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)
        assert not self._thread.is_alive()


@contextmanager
def google_storage(bucket: str) -> Iterator[dict[str, Any]]:
    """Serve what speaks as Google Cloud Storage does, with one bucket; give the options by which gcsfs finds it.

    tests/conftest.py keeps gcsfs from asking Google itself, over gRPC.
    """
    from gcp_storage_emulator.server import create_server

    server = create_server("127.0.0.1", 0, in_memory=True, default_bucket=bucket)
    server.start()
    try:
        port = server._api._httpd.server_address[1]  # it tells nobody which one it took
        yield {"token": "anon", "endpoint_url": f"http://127.0.0.1:{port}"}
    finally:
        server.stop()
