"""Whether W&B can be reached, and with which key."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.wandb_server import KEY
from support.wandb_session import wandb_session

from lightning_dqn.reporting import wandb_connection


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    """An account-less user in an empty home, and a W&B session of its own."""
    with wandb_session(tmp_path / "home") as patch:
        yield patch


def test_a_netrc_key_of_another_host_is_not_taken(
    outside: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "netrc"
    outside.setenv("NETRC", str(path))
    path.write_text(f"machine api.wandb.ai\n  login user\n  password {KEY}\n")
    assert wandb_connection.key_in_netrc("https://wandb.example.org") is None
    assert wandb_connection.key_in_netrc("https://api.wandb.ai") == KEY
    assert wandb_connection.key_in_netrc("https://api.forge.coreweave.com") == KEY
    path.write_text("no netrc at all\n")
    assert wandb_connection.key_in_netrc("https://api.wandb.ai") is None


def test_a_name_lookup_that_hangs_does_not_hold_up_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wait = threading.Event()

    def hanging(*_: Any) -> Any:
        wait.wait(30)
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    start = time.monotonic()
    assert not wandb_connection.can_connect(("wandb.example.org", 443), seconds=0.2)
    assert time.monotonic() - start < 1
    wait.set()


class _Settings:
    def __init__(self, base_url: str, https_proxy: str | None = None) -> None:
        self.base_url, self.https_proxy = base_url, https_proxy


@pytest.mark.parametrize(
    ("url", "proxy", "environment", "expected"),
    [
        ("https://w.example.org", None, {}, ("w.example.org", 443)),
        ("http://w.example.org:8080", None, {}, ("w.example.org", 8080)),
        ("https://w.example.org", "http://own:1", {"https_proxy": "http://px:3"}, ("own", 1)),
        ("https://w.example.org", None, {"https_proxy": "http://px:3128"}, ("px", 3128)),
        ("https://w.example.org", None, {"https_proxy": "px:3128"}, ("px", 3128)),
        (
            "https://w.example.org",
            None,
            {"https_proxy": "http://px", "no_proxy": "example.org"},
            ("w.example.org", 443),
        ),
        ("http://localhost:8080", None, {"http_proxy": "http://px:3128"}, ("localhost", 8080)),
    ],
)
def test_the_address_tried_is_the_server_or_its_proxy(
    url: str,
    proxy: str | None,
    environment: dict[str, str],
    expected: tuple[str, int],
    outside: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        outside.setenv(name, value)
    assert wandb_connection.address(_Settings(url, proxy)) == expected  # type: ignore[arg-type]
