"""The server: to this machine alone, with the types that browsers want."""

import contextlib
import http.client
import socket
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from lightning_dqn.games.play import server as serving
from lightning_dqn.games.play.server import address_of, make_server

TYPES = {
    "a.js": "text/javascript",
    "a.mjs": "text/javascript",
    "a.json": "application/json",
    "a.onnx": "application/octet-stream",
    "a.svg": "image/svg+xml",
    "a.wasm": "application/wasm",
    "index.html": "text/html",
}


@pytest.fixture
def address(tmp_path):
    """Where a folder is served that holds a file of each type, beside one that isn't in it."""
    (tmp_path / "site").mkdir()
    for name in TYPES:
        (tmp_path / "site" / name).write_text(name)
    (tmp_path / "secret.txt").touch()
    (tmp_path / "site" / "linked.txt").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "site" / "around").symlink_to(tmp_path)
    (tmp_path / "site" / "near.js").symlink_to("a.js")
    (tmp_path / "site" / "round.js").symlink_to("round.js")
    (tmp_path / "site" / "folder").mkdir()
    with make_server(tmp_path / "site") as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield address_of(server)
        server.shutdown()
        thread.join()


def test_files_come_whole_with_their_types_and_are_not_kept(address, capfd):
    assert address.startswith("http://127.0.0.1:")
    for name, kind in {**TYPES, "": "text/html"}.items():
        with urllib.request.urlopen(address + name) as response:
            assert response.headers.get_content_type() == kind
            assert response.headers["Cache-Control"] == "no-store"
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.read().decode() == (name or "index.html")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "path",
    [
        "nothing.js",
        "../secret.txt",
        "%2e%2e/secret.txt",
        "linked.txt",
        "around/secret.txt",
        "around/",
        "folder/",
        "%00",
        "a.js%00",
        "round.js",
        "a" * 5000,
    ],
)
def test_what_is_not_in_the_folder_is_not_served(path, address, capfd):
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(address + path)
    assert capfd.readouterr().err == ""


def test_a_link_inside_the_folder_is_followed(address):
    with urllib.request.urlopen(address + "near.js") as response:
        assert response.read() == b"a.js"


def answer(address: str, host: str | None) -> http.client.HTTPResponse:
    """Return the answer to a request that names this host."""
    connection = http.client.HTTPConnection(address.removeprefix("http://").strip("/"))
    connection.putrequest("GET", "/a.js", skip_host=True)
    if host is not None:
        connection.putheader("Host", host)
    connection.endheaders()
    return connection.getresponse()


def test_only_requests_to_this_machine_by_its_own_names_are_answered(address):
    port = address.strip("/").rpartition(":")[2]
    for host in (f"127.0.0.1:{port}", f"localhost:{port}"):
        assert answer(address, host).status == 200
    others = (None, "", "localhost", "127.0.0.1:1", f"evil.example:{port}", f"localhost.x:{port}")
    for host in others:
        refused = answer(address, host)
        assert (refused.status, b"a.js" in refused.read()) == (403, False), host


@pytest.mark.parametrize("port", ["9" * 5000, "080", "x", "²"])
def test_a_port_that_is_not_this_one_is_refused_however_it_is_written(address, port, capfd):
    assert answer(address, f"localhost:{port}").status == 403
    assert capfd.readouterr().err == ""


def test_every_answer_keeps_the_page_to_itself(address):
    port = address.strip("/").rpartition(":")[2]
    for host, status in ((f"localhost:{port}", 200), ("evil.example", 403)):
        response = answer(address, host)
        assert response.status == status
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'self'; script-src 'self' 'wasm-unsafe-eval';" in policy
        assert "frame-ancestors 'none'" in policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert response.headers["Server"].strip() == "lightning-dqn"


def test_idle_connections_take_few_threads_and_are_closed(address, monkeypatch, capfd):
    monkeypatch.setattr(serving._Handler, "timeout", 0.3)
    before = threading.active_count()
    port = int(address.strip("/").rpartition(":")[2])
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
    deadline = time.monotonic() + 10
    most = 0
    for one in idle:
        most = max(most, threading.active_count())
        one.settimeout(max(0.1, deadline - time.monotonic()))
        with contextlib.suppress(ConnectionResetError):  # closed at once, of too many
            assert one.recv(1) == b""
        one.close()
    assert most - before <= serving.MAX_CONNECTIONS
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before
    with urllib.request.urlopen(address + "a.js") as response:
        assert response.status == 200
    assert capfd.readouterr().err == ""


def test_a_taken_port_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=rf"^port={port}: can't be .*; port=0 takes"):
            make_server(Path(), port)


def test_a_port_that_there_can_not_be_is_named():
    with pytest.raises(ValueError, match=r"^port=70000: can't be served on"):
        make_server(Path(), 70_000)
