"""A stand-in for W&B's server on the loopback interface: takes what a run sends, and may fail."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

Outage = Literal["drops", "stalls", "errors"]

KEY = "a" * 40
"""A key as W&B's look, of nobody."""


class WandbServer:
    """What was sent, and how the server answers.

    Args:
        outage: what it does from the first rows on: closes connections without an answer, never
            answers, or answers 500; None: nothing.
        outage_requests: so many requests fare so, then it recovers; None: all of them.
        known: what it knows of the run that goes on, see :func:`known_run`; None: there is none.

    Attributes:
        url: for ``WANDB_BASE_URL``.
        requests: path, body and authorization of each request that was answered.
        refused: how many fared otherwise.
    """

    def __init__(
        self,
        outage: Outage | None = None,
        *,
        outage_requests: int | None = None,
        known: dict[str, Any] | None = None,
    ) -> None:
        self.outage, self.outage_requests, self.known = outage, outage_requests, known
        self.url = ""
        self.requests: list[tuple[str, bytes, str | None]] = []
        self.refused = 0
        self.released = threading.Event()
        self._has_begun = False
        self._lock = threading.Lock()

    @property
    def environment(self) -> dict[str, str]:
        """Variables by which a process sends its runs here."""
        return {
            "WANDB_BASE_URL": self.url,
            "WANDB_API_KEY": KEY,
            "WANDB__DISABLE_STATS": "true",
            "no_proxy": "127.0.0.1",
        }

    def fails(self, path: str) -> bool:
        """Return whether a request fares badly, and count it."""
        with self._lock:
            self._has_begun |= path.endswith("file_stream")
            is_over = self.outage_requests is not None and self.refused >= self.outage_requests
            if self.outage is None or not self._has_begun or is_over:
                return False
            self.refused += 1
            return True

    def take(self, path: str, body: bytes, authorization: str | None) -> dict[str, Any]:
        """Remember a request and return the answer."""
        with self._lock:
            self.requests.append((path, body, authorization))
        variables = json.loads(body).get("variables", {}) if path == "/graphql" else {}
        name = variables.get("name") or "r"
        project = {"name": "p", "entity": {"name": "e"}}
        display = variables.get("displayName") or name
        bucket = {"id": name, "name": name, "displayName": display, "project": project}
        if b"RunResumeStatus" in body:
            found = None if self.known is None else {**bucket, **self.known}
            return {"model": {**project, "bucket": found}}
        if b"UpsertBucket" in body:
            return {"upsertBucket": {"bucket": bucket, "inserted": self.known is None}}
        files = {"runID": name, "uploadHeaders": [], "files": []}
        return {"createRunFiles": files} if b"CreateRunFiles" in body else {}

    def streamed(self) -> list[dict[str, Any]]:
        """Return the bodies of the file stream, in their order."""
        return [json.loads(body) for path, body, _ in self.requests if path.endswith("file_stream")]

    def history(self) -> list[dict[str, Any]]:
        """Return the rows, each once, without W&B's own columns."""
        lines: dict[int, str] = {}
        for body in self.streamed():
            file = (body.get("files") or {}).get("wandb-history.jsonl", {"content": []})
            lines |= dict(enumerate(file["content"], start=file.get("offset", 0)))
        rows = [json.loads(lines[number]) for number in sorted(lines)]
        return [{key: row[key] for key in row if not key.startswith("_")} for row in rows]

    def exit_code(self) -> int | None:
        """Return what the run ended with; None: it hasn't said that it is complete."""
        ends = [body for body in self.streamed() if body.get("complete")]
        return ends[-1].get("exitcode") if ends else None

    def upserts(self) -> list[dict[str, Any]]:
        """Return what the run said of itself, each time; ``name`` is its id."""
        return [json.loads(body)["variables"] for _, body, _ in self.requests if b"Upsert" in body]

    def config(self) -> dict[str, Any]:
        """Return the configuration, without W&B's own."""
        found = [json.loads(one["config"]) for one in self.upserts() if one.get("config")]
        values = {key: entry["value"] for config in found for key, entry in config.items()}
        return {key: value for key, value in values.items() if key != "_wandb"}


def known_run(rows: int, env_steps: int) -> dict[str, Any]:
    """Return what the server knows of a run that has sent so many rows, up to these env steps."""
    last = json.dumps({"_step": rows - 1, "time/env_steps": env_steps})
    counts = {"historyLineCount": rows, "eventsLineCount": 0, "logLineCount": 0}
    texts = {"summaryMetrics": last, "config": "{}", "eventsTail": "[]", "wandbConfig": '{"t":1}'}
    return {**counts, **texts, "historyTail": json.dumps([last]), "tags": []}


@contextmanager
def wandb_server(server: WandbServer) -> Iterator[WandbServer]:
    """Serve on a free port of 127.0.0.1."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            is_zipped = self.headers.get("Content-Encoding") == "gzip"
            if server.fails(self.path):
                self._fail()
                return
            body = gzip.decompress(body) if is_zipped else body
            authorization = self.headers.get("Authorization")
            self._answer(200, {"data": server.take(self.path, body, authorization)})

        do_GET = do_PUT = do_POST

        def _fail(self) -> None:
            if server.outage == "errors":
                self._answer(500, {"error": "out of order"})
                return
            if server.outage == "stalls":
                server.released.wait()
            self.close_connection = True

        def _answer(self, status: int, content: dict[str, Any]) -> None:
            answer = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        server.url = f"http://127.0.0.1:{http.server_port}"
        try:
            yield server
        finally:
            server.released.set()
            http.shutdown()
            thread.join()
