"""Serves a folder to browsers on this machine, and to nobody through them."""

from __future__ import annotations

import sys
import threading
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

HOST = "127.0.0.1"
MAX_CONNECTIONS = 32
"""At once; a browser opens six."""
IDLE_SECONDS = 5.0
"""After which a connection that says nothing is closed."""

_NAMES = (HOST, "localhost")
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class _Handler(SimpleHTTPRequestHandler):
    extensions_map: dict[str, str] = {  # noqa: RUF012
        **SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".json": "application/json",
        ".onnx": "application/octet-stream",
        ".svg": "image/svg+xml",
        ".wasm": "application/wasm",
    }

    timeout = IDLE_SECONDS
    server_version, sys_version = "lightning-dqn", ""

    def send_head(self) -> BytesIO | BinaryIO | None:
        """Begin to answer, where the request is for this machine and the file in the folder."""
        # A page elsewhere can let its own name lead here, and would then be taken for ours.
        name, _, port = self.headers.get("Host", "").partition(":")
        own_port = str(self.connection.getsockname()[1])
        if name not in _NAMES or own_port != (port or "80"):
            self.send_error(HTTPStatus.FORBIDDEN, "Not the address of this machine")
            return None
        if not self._is_in_folder():
            self.send_error(HTTPStatus.NOT_FOUND, "File not found")
            return None
        return super().send_head()

    def _is_in_folder(self) -> bool:
        try:
            path = Path(self.translate_path(self.path)).resolve()
        except (ValueError, OSError, RuntimeError):  # a null byte, a circle of links
            return False
        return path.is_relative_to(Path(self.directory).resolve())

    def list_directory(self, path: Any) -> None:
        """Show no folder's files."""
        self.send_error(HTTPStatus.NOT_FOUND, "File not found")

    def end_headers(self) -> None:
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing; the page itself reports what it can't load."""


class _Server(ThreadingHTTPServer):
    """Answers each connection in a thread of its own, of which there are never many."""

    def __init__(self, *args: Any) -> None:
        self._free = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a browser that has left."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def make_server(folder: Path, port: int = 0) -> ThreadingHTTPServer:
    """Return a server of ``folder`` that ``serve_forever()`` starts.

    Args:
        folder: what is served, to this machine alone.
        port: 0 takes a free one.

    Raises:
        ValueError: the port is taken or there is none of that number.
    """
    try:
        return _Server((HOST, port), partial(_Handler, directory=str(folder)))
    except (OSError, OverflowError) as error:
        raise ValueError(
            f"port={port}: can't be served on, {error}; port=0 takes a free one"
        ) from error


def address_of(server: ThreadingHTTPServer) -> str:
    """Return the address to open in a browser."""
    return f"http://{HOST}:{server.server_address[1]}/"
