"""Writes ``requirements.lock``: what is installed here, each release with the hashes of its files.

``make lock`` runs it. The files are those that pip's index has of each release, whatever machine
they are for. Of torch there may be a build for CPUs alone in another place that pip looks into;
it is locked for the Python that this runs by, and for others what the index has, with all that
that needs on Linux.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import distributions
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent.parent
LOCK = ROOT / "requirements.lock"

HEAD = """\
# What `make` installs, with the hashes of each release's files; `make lock` writes it anew.
"""

_NOT_LOCKED = ("lightning-dqn", "pip")
_LINUX = "sys_platform == 'linux' and platform_machine == 'x86_64'"
_OTHER_PYTHON = (
    "--only-binary=:all:",
    "--python-version=3.12",
    "--platform=manylinux2014_x86_64",
    *(f"--platform=manylinux_2_{glibc}_x86_64" for glibc in range(17, 29)),
)


class Taken(NamedTuple):
    """A file that pip would install."""

    name: str
    version: str
    sha256: str


def installed() -> dict[str, str]:
    """Return what is installed here: normalised name -> version without its build's name."""
    found = {
        canonicalize_name(one.metadata["Name"]): Version(one.version).public
        for one in distributions()
    }
    return {name: found[name] for name in sorted(found) if name not in _NOT_LOCKED}


def index_url() -> str:
    """Return the index that pip takes packages from."""
    told = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    )
    for line in told.stdout.splitlines():
        key, _, value = line.partition("=")
        if key.endswith("index-url") and "extra" not in key:
            return value.strip("'\"")
    from pip._internal.models.index import PyPI  # its name stands nowhere else

    return os.environ.get("PIP_INDEX_URL", PyPI.simple_url)


def hashes_in_index(index: str, name: str, version: str) -> set[str]:
    """Return the SHA-256 of every file of a release."""
    request = urllib.request.Request(
        f"{index.rstrip('/')}/{name}/", headers={"Accept": "application/vnd.pypi.simple.v1+json"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        files = json.load(response)["files"]
    return {file["hashes"]["sha256"] for file in files if version_of(file["filename"]) == version}


def version_of(filename: str) -> str | None:
    """Return the public version that a file's name tells; None for other files."""
    try:
        if filename.endswith(".whl"):
            return parse_wheel_filename(filename)[1].public
        return parse_sdist_filename(filename)[1].public
    except (InvalidWheelFilename, InvalidSdistFilename):
        return None


def taken(*arguments: str) -> list[Taken]:
    """Return what pip would install for ``arguments``."""
    with TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        pip = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--target", folder]
        subprocess.run(
            [*pip, "--ignore-installed", "--report", str(report), *arguments], check=True
        )
        found = json.loads(report.read_text())["install"]
    return [
        Taken(
            canonicalize_name(one["metadata"]["name"]),
            one["metadata"]["version"],
            one["download_info"]["archive_info"]["hashes"]["sha256"],
        )
        for one in found
    ]


def lock() -> Iterator[str]:
    """Yield the lines of the lock."""
    pins, index = installed(), index_url()
    [own] = taken("--no-deps", f"torch=={pins['torch']}")
    number = f"{sys.version_info[0]}.{sys.version_info[1]}"
    here, elsewhere = f"python_version == '{number}' and {_LINUX}", f"python_version != '{number}'"
    if "+" not in own.version:
        elsewhere = "python_version >= '3.11'"
    else:
        yield requirement(f"torch=={own.version} ; {here}", {own.sha256})
    # Of CUDA's packages no release is installed here.
    needed = taken("--index-url", index, *_OTHER_PYTHON, f"torch=={pins['torch']}")
    more = {one.name: one.version for one in needed if one.name not in pins}
    with ThreadPoolExecutor(8) as pool:
        every = pins | more
        found = pool.map(lambda pin: hashes_in_index(index, *pin), every.items())
    for (name, version), hashes in zip(every.items(), found, strict=True):
        marker = f"{elsewhere} and {_LINUX}" if name in more else ""
        marker = elsewhere if name == "torch" else marker
        yield requirement(f"{name}=={version}" + (f" ; {marker}" if marker else ""), hashes)


def requirement(text: str, hashes: set[str]) -> str:
    """Return a requirement with its files' hashes, as pip reads it.

    Raises:
        SystemExit: there are none.
    """
    if not hashes:
        raise SystemExit(f"{text}: the index has no file of it")
    return " \\\n".join([text, *(f"    --hash=sha256:{one}" for one in sorted(hashes))])


if __name__ == "__main__":
    LOCK.write_text(HEAD + "\n".join(sorted(lock())) + "\n")
