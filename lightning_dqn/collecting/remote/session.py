"""Ray as a guest in this process: started quietly or joined, and this process left as it was.

A bare ``ray.init()`` joins any Ray of the machine, listens on all interfaces, tells its makers of
its use, writes a secret into the home folder and takes SIGTERM for itself.
"""

from __future__ import annotations

import importlib
import os
import secrets
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lightning_dqn.system.faults import RunFault
from lightning_dqn.system.variables import given_back

LOCAL = "local"
"""The address of a Ray of one's own."""

_QUIET = {"RAY_USAGE_STATS_ENABLED": "0"}
_LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"  # 0: nodes have the address 127.0.0.1
_TOKEN = secrets.token_hex(32)  # who else is on this machine can't run code by this Ray
_HANDLED = (signal.SIGINT, signal.SIGTERM)


class NoRay(RunFault, ValueError):
    """Ray isn't installed, or none answers."""


class Session:
    """Ray for as long as rows are collected.

    Args:
        address: of a cluster, as ``auto`` or ``host:port``; None: a local one of its own. Where
            this process has one already, that is used and left running.

    Attributes:
        ray: the module.

    Raises:
        NoRay: it isn't installed, or none answers at the address.
    """

    def __init__(self, address: str | None) -> None:
        is_local = address is None
        with _environment(_settings(is_local)), _handlers_kept():
            self.ray = import_ray()
            self._is_ours = not self.ray.is_initialized()
            if self._is_ours and is_local:
                with _on_loopback():
                    self._start(LOCAL, include_dashboard=False, num_cpus=1)
            elif self._is_ours:
                self._start(address)

    def close(self) -> None:
        """Shut down what was started, and leave what was joined; may be called repeatedly."""
        if self._is_ours:
            self._is_ours = False
            with _handlers_kept():
                self.ray.shutdown()

    def _start(self, address: str | None, **local: Any) -> None:
        try:
            self.ray.init(address=address, log_to_driver=False, logging_level="error", **local)
        except ConnectionError as error:
            raise NoRay(
                f"data.collection.address={address}: no Ray answers there; begin one by "
                "`ray start --head`, or leave it null for one of the run's own"
            ) from error


def import_ray() -> Any:
    """Return the module.

    Raises:
        NoRay: it isn't installed.
    """
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise NoRay(
            "data.collection: actors elsewhere need the extra 'ray': "
            "pip install 'lightning-dqn[ray]'"
        ) from error


def _settings(is_local: bool) -> dict[str, str]:
    if not is_local:
        return dict(_QUIET)
    settings = {**_QUIET, _LOOPBACK: "0"}
    if "RAY_AUTH_MODE" not in os.environ:
        settings |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": _TOKEN}
    return settings


@contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    """Set variables for what is started within the block."""
    with given_back(*settings, "OMP_NUM_THREADS"):
        os.environ.update(settings)
        yield


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Let Ray take 127.0.0.1 for this machine's address, also where it was imported before."""
    constants: Any = importlib.import_module("ray._private.ray_constants")
    before = constants.ENABLE_RAY_CLUSTER
    constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        constants.ENABLE_RAY_CLUSTER = before


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Leave signals to whom they were; Ray's own handler ends the process in its midst."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _HANDLED}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:  # else one that Python didn't set
                signal.signal(number, handler)
