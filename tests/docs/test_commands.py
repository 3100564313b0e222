"""Every command on a page is one: ours are read and composed, of others what they name is there."""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from hydra.errors import HydraException
from support.commands import (
    check,
    commands_in_blocks,
    commands_in_prose,
    commands_in_source,
    is_ours,
    settings_in_prose,
)
from support.pages import MORE_PAGES, PAGES, ROOT, forget_modules, name_of, text_of, write_modules

from lightning_dqn.runs.build import ConfigError

ALL = [*PAGES, *MORE_PAGES]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))


SOURCES = [
    path
    for folder, ending in (("lightning_dqn", "py"), ("callbacks", "py"), ("conf", "yaml"))
    for path in sorted((ROOT / folder).rglob(f"*.{ending}"))
    if [*commands_in_source(path.read_text())]
]
"""Modules and settings that tell in words how they are run."""
ELSEWHERE = ("cleanrl_utils",)
"""Modules of others that pages name for who comes from there."""
UNFINISHED = ("+experiment=corridor", "+experiment=mine", "module/network=layers")
"""Settings that want more: a file that a page lets its reader write, or a list of layers."""


def commands(page: Path) -> list[str]:
    """Return each command of a page once."""
    text = text_of(page)
    return list(dict.fromkeys([*commands_in_blocks(text), *commands_in_prose(text)]))


def all_ours(page: Path) -> list[str]:
    found = [one for one in commands(page) if is_ours(one)]
    if page.name == "upgrading.md":  # its left column has what they were called
        return found
    settings = [one for one in settings_in_prose(text_of(page)) if one not in UNFINISHED]
    return [*found, *(f"python -m lightning_dqn '{one}'" for one in settings)]


def mistakes(found: list[str]) -> dict[str, str]:
    """Return what is wrong with commands of ours."""
    wrong = {}
    for command in found:
        try:
            check(command)
        except Exception as error:
            wrong[command] = f"{type(error).__name__}: {error}"
    return wrong


@pytest.mark.parametrize("page", [one for one in ALL if all_ours(one)], ids=name_of)
def test_every_command_of_ours_is_read_without_a_mistake(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the modules that the page's programs are, for its commands name what is in them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    write_modules(text_of(page), tmp_path)
    wrong = mistakes(all_ours(page))
    forget_modules(tmp_path)
    assert wrong == {}


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_every_command_in_words_of_the_source_is_read_without_a_mistake(path: Path) -> None:
    assert mistakes([*commands_in_source(path.read_text())]) == {}


@pytest.mark.parametrize(
    "command",
    [
        "python -m lightning_dqn +experiment=cartpoel",
        "python -m lightning_dqn data.batch_sise=3",
        "python -m lightning_dqn evaluate <run> episods=3",
        "lightning-dqn study +experiment=cartpole seeds=5 data.replay.gama=1",
        "python -m lightning_dqn -m +experiment=cartpole seed=0,1 algorithm=rainbo",
    ],
)
def test_a_mistaken_command_is_found(command: str) -> None:
    with pytest.raises((ConfigError, HydraException)):
        check(command)


@pytest.mark.parametrize("page", [one for one in ALL if commands(one)], ids=name_of)
def test_a_shell_reads_every_command(page: Path) -> None:
    text = "\n".join(re.sub("<[^<>]+>", "it", one) for one in commands(page))
    read = subprocess.run(["sh", "-n", "-c", text], capture_output=True, text=True, check=False)
    assert read.stderr == ""


def others() -> list[tuple[str, str]]:
    return [(name_of(page), one) for page in ALL for one in commands(page) if not is_ours(one)]


@pytest.mark.parametrize(("page", "command"), others())
def test_what_other_commands_name_is_there(page: str, command: str) -> None:
    program, *words = shlex.split(command.replace("$(", "(").replace("`", ""))
    if program == "make":
        assert {word for word in words if "=" not in word} <= TARGETS
        if shutil.which("make"):
            subprocess.run(["make", "--dry-run", *words], cwd=ROOT, check=True, capture_output=True)
    elif program == "python":
        check_python(words)
    elif program in ("torchrun", "srun"):  # start ours, several times
        check(f"python {command[command.index('-m lightning_dqn') :]}")
    elif program == "wandb":
        assert words[0] in ("sweep", "agent", "sync")
        assert all((ROOT / word).is_file() for word in words if word.endswith(".yaml"))
    else:
        known = {"pip", "git", "eval", "pre-commit", "pytest"}
        assert program in known, f"{page}: say how {program} is checked, or why it isn't run"


def check_python(words: list[str]) -> None:
    """See that what Python is to run is there, and is Python."""
    if words[0] == "-c":
        ast.parse(words[1])
    elif words[0] == "-m":
        former = re.fullmatch(r"lightning_dqn\.(\w+)", words[1])
        known = former or words[1].split(".")[0] in ELSEWHERE
        assert known or importlib.util.find_spec(words[1]), words
    else:
        assert words[0].endswith(".py"), words
        program = ROOT / words[0]
        assert program.is_file(), words
        told = "".join(path.read_text() for path in program.parent.glob("*.py"))
        assert all(word.split("=")[0] in told for word in words if word.startswith("--")), words


@pytest.mark.parametrize("page", ALL, ids=name_of)
def test_every_extra_on_a_page_exists(page: Path) -> None:
    named = re.findall(r"'\.\[([\w,-]+)\]'", text_of(page))
    assert {extra for group in named for extra in group.split(",")} <= set(EXTRAS)
