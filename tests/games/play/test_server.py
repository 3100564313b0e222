"""The server: to this machine alone, with the types that browsers want."""

import socket
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("path", ["nothing.js", "../secret.txt", "%2e%2e/secret.txt"])
def test_what_is_not_in_the_folder_is_not_served(path, address):
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(address + path)


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
