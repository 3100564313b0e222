"""Where metrics go: W&B with env steps as x-axis, and one CSV file per run directory.

W&B is a guest in a training run: it never asks for a login, never holds the run up for more than
a few seconds and, where it cannot be online, records to disk and says so in one line.
"""

from __future__ import annotations

import contextlib
import logging
import netrc
import os
import shlex
import socket
import threading
import urllib.request
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from lightning_fabric.loggers.logger import rank_zero_experiment
from pytorch_lightning.loggers import WandbLogger as LightningWandbLogger

from lightning_dqn.system.files import write_text

if TYPE_CHECKING:
    import wandb

_logger = logging.getLogger(__name__)

STEP_METRIC = "time/env_steps"

_CONNECT_SECONDS = 2.0
_INIT_SECONDS = 3.0
# One service under two names: a key stored for either opens both.
_HOSTED = ("api.wandb.ai", "api.forge.coreweave.com")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PORTS = {"http": 80, "https": 443, "socks5": 1080}


class WandbLogger(LightningWandbLogger):
    """Lightning's ``WandbLogger`` that goes offline by itself and plots against env steps.

    ``offline=True``, ``WANDB_MODE`` and ``mode=`` are obeyed. Otherwise the run is online if an
    API key is found, the host accepts a connection within 2 s and ``wandb.init`` succeeds within
    3 s; if not, it is recorded offline, and one warning says why, where, and how to upload it.

    Every metric's x-axis is ``time/env_steps``. A row that lacks it gets the last one logged.

    Args:
        name: Display name of the run; W&B invents one if None.
        save_dir: Directory that gets W&B's ``wandb`` folder; made if it does not exist.
        project: Project of the run; None takes ``WANDB_PROJECT``, else ``lightning-dqn``.
        tags: Labels of the run.
        group: Runs of one group are shown together, for example the seeds of one experiment.
        offline: Record to disk only.
        id_path: File that keeps the run's id: where it lies from before, that run goes on.
        log_model: Upload checkpoints as artifacts: at the end (True) or each one (``"all"``).
            Turned off with a notice when the run is offline.
        **kwargs: As for Lightning's ``WandbLogger``, hence also ``wandb.init``. A dictionary of
            ``settings`` is laid over the quiet ones used here, a ``wandb.Settings`` replaces them.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        save_dir: str | Path = ".",
        project: str | None = None,
        tags: Sequence[str] = (),
        group: str | None = None,
        offline: bool = False,
        id_path: str | Path | None = None,
        log_model: Literal["all"] | bool = False,
        **kwargs: Any,
    ) -> None:
        # W&B's reports of its own errors go to the host that may be the one not answering, and
        # would hold up the end of the process for 20 s.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        project = project or os.environ.get("WANDB_PROJECT", "lightning-dqn")
        super().__init__(
            name, save_dir, project=project, group=group, tags=list(tags) or None, **kwargs
        )
        # Lightning's own `offline` would set WANDB_MODE for every later run of the process.
        if offline:
            self._wandb_init["mode"] = "offline"
        self._log_model = log_model
        self._id_path = None if id_path is None else Path(id_path)
        self._axis_is_defined = False

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The W&B run, started on first use; a dummy on ranks other than zero."""
        import wandb

        attached = getattr(self, "_attach_id", None)
        if self._experiment is None and wandb.run is None and attached is None:
            self._experiment = self._start()
        run = super().experiment
        if not self._axis_is_defined:
            self._axis_is_defined = True
            run.define_metric(STEP_METRIC)
            run.define_metric("*", step_metric=STEP_METRIC, step_sync=True, overwrite=True)
        return run

    def _start(self) -> wandb.Run:
        """Start the run in the mode asked for, or else online if possible."""
        import wandb

        Path(self.save_dir or ".").mkdir(parents=True, exist_ok=True)
        settings = wandb.setup().settings
        mode = self._wandb_init.get("mode") or settings.mode
        if "disabled" in (mode, settings.mode):
            return self._init(mode="disabled")
        if mode in ("offline", "dryrun"):
            return self._start_offline("as asked", logging.INFO)
        return self._start_online(settings)

    def _start_online(self, settings: wandb.Settings) -> wandb.Run:
        """Start the run online, or offline if there is no key, no host or an error."""
        import wandb

        key = settings.api_key or _key_in_netrc(settings.base_url)
        if not key and not settings.identity_token_file:
            return self._start_offline("no API key was found")
        if not _can_connect(_address(settings)):
            return self._start_offline(f"{settings.base_url} cannot be reached")
        try:
            # With the key in hand W&B has nothing left to ask for.
            return self._init(api_key=key) if key else self._init()
        except (wandb.Error, TimeoutError) as error:
            why = next(iter(str(error).splitlines()), type(error).__name__)
            return self._start_offline(f"W&B failed: {why}")

    def _start_offline(self, reason: str, level: int = logging.WARNING) -> wandb.Run:
        """Start the run offline and say why, where, and how to upload it later."""
        run = self._init(mode="offline", silent=True)
        if self._log_model:
            self._log_model, reason, level = False, f"{reason}; log_model is off", logging.WARNING
        directory = shlex.quote(str(Path(run.dir).resolve().parent))
        text = "W&B is offline (%s): recording in %s; upload with: wandb sync %s"
        _logger.log(level, text, reason, directory, directory)
        return run

    def _init(self, mode: str | None = None, **settings: Any) -> wandb.Run:
        """Call ``wandb.init`` with few words and a short patience."""
        import wandb

        settings = {"quiet": True, "console": "off", "init_timeout": _INIT_SECONDS} | settings
        arguments = {key: value for key, value in self._wandb_init.items() if value is not None}
        if self._id_path is not None and self._id_path.is_file():
            arguments |= {"id": self._id_path.read_text().strip(), "resume": "allow"}
        theirs = arguments.pop("settings", {})
        arguments["mode"] = mode or arguments.get("mode")
        ours = theirs if isinstance(theirs, wandb.Settings) else wandb.Settings(**settings | theirs)
        run = wandb.init(**arguments, settings=ours)
        if self._id_path is not None:
            self._id_path.parent.mkdir(parents=True, exist_ok=True)
            write_text(self._id_path, f"{run.id}\n")
        return run


def _key_in_netrc(base_url: str) -> str | None:
    """Return the API key that the user's netrc file holds for ``base_url``, if any."""
    host = urlsplit(base_url).netloc
    paths = [os.environ["NETRC"]] if os.environ.get("NETRC") else ["~/.netrc", "~/_netrc"]
    for path, machine in product(paths, _HOSTED if host in _HOSTED else (host,)):
        with contextlib.suppress(OSError, netrc.NetrcParseError):
            if found := netrc.netrc(os.path.expanduser(path)).authenticators(machine):
                return found[2]
    return None


def _address(settings: wandb.Settings) -> tuple[str, int]:
    """Return host and port that a request to W&B connects to: its server, or a proxy."""
    url = urlsplit(settings.base_url)
    host = url.hostname or ""
    proxy = getattr(settings, f"{url.scheme}_proxy", None)
    proxy = proxy or urllib.request.getproxies().get(url.scheme)
    if proxy and host not in _LOOPBACK and not urllib.request.proxy_bypass(host):
        url = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return url.hostname or "", url.port or _PORTS.get(url.scheme, 443)


def _can_connect(address: tuple[str, int], seconds: float = _CONNECT_SECONDS) -> bool:
    """Return whether ``address`` accepts a TCP connection, name look-up included, in time."""
    connected = threading.Event()

    def connect() -> None:
        with (
            contextlib.suppress(OSError, UnicodeError),
            socket.create_connection(address, timeout=seconds),
        ):
            connected.set()

    # A look-up has no time-out of its own, so it is left behind in a thread that may hang.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(seconds)
    return connected.is_set()
