"""Whether W&B can be reached: a key that is stored, an address that accepts a connection."""

from __future__ import annotations

import contextlib
import netrc
import os
import socket
import threading
import urllib.request
from itertools import product
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import wandb

CONNECT_SECONDS = 2.0

# One service under two names: a key stored for either opens both.
_HOSTED = ("api.wandb.ai", "api.forge.coreweave.com")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PORTS = {"http": 80, "https": 443, "socks5": 1080}


def api_key(settings: wandb.Settings) -> str | None:
    """Return the key that opens ``settings.base_url``: of the environment, or a stored one."""
    return settings.api_key or key_in_netrc(settings.base_url)


def key_in_netrc(base_url: str) -> str | None:
    """Return the API key that the user's netrc file holds for ``base_url``, if any."""
    host = urlsplit(base_url).netloc
    paths = [os.environ["NETRC"]] if os.environ.get("NETRC") else ["~/.netrc", "~/_netrc"]
    for path, machine in product(paths, _HOSTED if host in _HOSTED else (host,)):
        with contextlib.suppress(OSError, netrc.NetrcParseError):
            if found := netrc.netrc(os.path.expanduser(path)).authenticators(machine):
                return found[2]
    return None


def address(settings: wandb.Settings) -> tuple[str, int]:
    """Return host and port that a request to W&B connects to: its server, or a proxy."""
    url = urlsplit(settings.base_url)
    host = url.hostname or ""
    proxy = getattr(settings, f"{url.scheme}_proxy", None)
    proxy = proxy or urllib.request.getproxies().get(url.scheme)
    if proxy and host not in _LOOPBACK and not urllib.request.proxy_bypass(host):
        url = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return url.hostname or "", url.port or _PORTS.get(url.scheme, 443)


def can_connect(place: tuple[str, int], seconds: float = CONNECT_SECONDS) -> bool:
    """Return whether a host's port accepts a TCP connection, name look-up included, in time."""
    connected = threading.Event()

    def connect() -> None:
        with (
            contextlib.suppress(OSError, UnicodeError),
            socket.create_connection(place, timeout=seconds),
        ):
            connected.set()

    # A look-up has no time-out of its own, so it is left behind in a thread that may hang.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(seconds)
    return connected.is_set()
