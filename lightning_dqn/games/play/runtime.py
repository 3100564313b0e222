"""ONNX Runtime Web: what runs the network in a browser, pinned by ``page/package-lock.json``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

PAGE = Path(__file__).parent / "page"
"""The page's files, as they are shipped."""

PACKAGE = "onnxruntime-web"
FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
"""The smallest build: WebAssembly alone, in one thread, so that any web host serves it."""

_PINS = ("package.json", "package-lock.json", ".npmrc")
_TIMEOUT_SECONDS = 600


def browser_runtime(folder: str | Path | None = None) -> Path:
    """Return a folder that holds the runtime's files, installing them once if need be.

    Args:
        folder: where the files already are (or a ``node_modules`` folder with the package); None
            takes the user's cache folder and installs them there with npm.

    Raises:
        ValueError: they aren't there, there is no npm, or it fails.
    """
    if folder is not None:
        return _given(Path(folder))
    cache = _cache() / "lightning_dqn" / f"{PACKAGE}-{_version()}"
    if not _is_whole(cache):
        _install(cache)
    return cache


def _given(folder: Path) -> Path:
    for place in (folder, folder / "dist", folder / PACKAGE / "dist"):
        if _is_whole(place):
            return place
    raise ValueError(f"runtime={folder}: {' and '.join(FILES)} of {PACKAGE} aren't there")


def _install(cache: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise ValueError(
            f"the page needs {PACKAGE} {_version()}, which npm installs, and there is no npm. "
            "Install Node.js with npm, name a folder with its files as runtime=<folder>, or play "
            "in the terminal: terminal=true"
        )
    cache.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache.parent) as temporary:
        work = Path(temporary)
        for name in _PINS:
            shutil.copyfile(PAGE / name, work / name)
        _run_npm(npm, work)
        whole = work / "whole"
        whole.mkdir()
        for name in FILES:
            shutil.copyfile(work / "node_modules" / PACKAGE / "dist" / name, whole / name)
        if not _is_whole(cache):  # another process may have been faster
            shutil.rmtree(cache, ignore_errors=True)
            os.replace(whole, cache)


def _run_npm(npm: str, folder: Path) -> None:
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    try:
        result = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ValueError(f"npm couldn't install {PACKAGE}: {error}") from error
    if result.returncode:
        lines = [line for line in result.stderr.splitlines() if "error" in line.lower()]
        reason = " ".join(lines[:3]) or f"exit code {result.returncode}"
        raise ValueError(
            f"npm couldn't install {PACKAGE}: {reason}. Is there a network? terminal=true needs "
            "neither"
        )


def _is_whole(folder: Path) -> bool:
    return all((folder / name).is_file() for name in FILES)


def _version() -> str:
    return json.loads((PAGE / "package.json").read_text())["dependencies"][PACKAGE]


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
