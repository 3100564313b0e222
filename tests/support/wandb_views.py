"""A stand-in for W&B's server that takes workspaces."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Views(ThreadingHTTPServer):
    """Keeps what it is asked, in ``asked``, and answers with ``error`` where there is one."""

    def __init__(self, error: str | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[dict[str, Any]] = []
        self.error = error

    @property
    def url(self) -> str:
        """Return its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Return what W&B's server would."""
        self.asked.append(asked)
        if self.error is not None:
            return {"errors": [{"message": self.error}]}
        if "upsertView" in asked["query"]:
            view = {"id": "Vmlldw==", "name": asked["variables"]["name"]}
            return {"data": {"upsertView": {"view": view, "inserted": True}}}
        user = {"id": "1", "username": "me", "entity": "my-team", "flags": "{}", "admin": False}
        return {"data": {"viewer": user, "serverInfo": {}}}


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        assert isinstance(self.server, Views)
        answer = json.dumps(self.server.answer(json.loads(body))).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def views(error: str | None = None) -> Iterator[Views]:
    """Run the server until the block ends."""
    server = Views(error)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
