"""The lock holds all that is needed, in the versions that are tested, and tells no address."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from support.locked_versions import version_of

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
LINUX = {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"}


def locked() -> list[tuple[Requirement, list[str]]]:
    """Return every requirement of the lock with its hashes."""
    blocks = re.findall(r"^(\w[^\\\n]*) \\\n((?:    --hash=.*\n)+)", LOCK.read_text(), re.M)
    return [(Requirement(text), hashes.split()) for text, hashes in blocks]


def names_on(python: str) -> dict[str, str]:
    """Return name -> version of what the lock installs on Linux with a version of Python."""
    environment = {**LINUX, "python_version": python, "python_full_version": f"{python}.0"}
    return {
        canonicalize_name(one.name): str(one.specifier).removeprefix("==")
        for one, _ in locked()
        if one.marker is None or one.marker.evaluate(environment)
    }


def test_every_line_is_a_pinned_requirement_with_hashes_and_nothing_else() -> None:
    lines = [line for line in LOCK.read_text().splitlines() if not line.startswith("#")]
    assert len(lines) == sum(1 + len([h for h in hashes if h != "\\"]) for _, hashes in locked())
    for one, hashes in locked():
        assert re.fullmatch(r"==[\w.+!]+", str(one.specifier)), one
        digests = [text for text in hashes if text != "\\"]
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", text) for text in digests), one
    assert not re.search(r"://|--index|--find|--extra|@ ", LOCK.read_text())


def test_lock_and_constraints_name_the_same_versions() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line)
    found = names_on("3.11")
    found["torch"] = found["torch"].removesuffix("+cpu")
    wanted = {canonicalize_name(name): version for name, version in pins.items()}
    assert {name: found.get(name) for name in wanted} == wanted


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_what_a_locked_package_needs_is_locked_too(python: str) -> None:
    names = names_on(python)
    environment = {**LINUX, "python_version": python, "python_full_version": f"{python}.0"}
    missing = []
    for name in names:
        try:
            needed = [Requirement(text) for text in requires(name) or ()]
        except PackageNotFoundError:
            continue  # CUDA's, which no test has
        if name == "torch" and Version(names[name]).local != Version(version(name)).local:
            continue  # a build for CPUs alone is locked where CUDA's is installed, or the other way
        for one in needed:
            is_needed = one.marker is None or one.marker.evaluate({**environment, "extra": ""})
            locked = names.get(canonicalize_name(one.name))
            if is_needed and (locked is None or locked not in one.specifier):
                missing.append((name, str(one)))
    assert missing == []


def test_what_the_project_asks_for_is_locked() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = names_on("3.11")
    for text in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        one = Requirement(text)
        if one.name != project["name"]:
            assert canonicalize_name(one.name) in names, one


@pytest.mark.parametrize(
    ("filename", "version"),
    [
        ("torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl", "2.13.0"),
        ("cuda_toolkit-13.0.3.0-py3-none-any.whl", "13.0.3.0"),
        ("hydra_core-1.3.8.tar.gz", "1.3.8"),
        ("torch-2.13.0-py3.11.egg", None),
    ],
)
def test_a_files_name_tells_its_version(filename: str, version: str | None) -> None:
    assert version_of(filename) == version
