"""Every command on a page is one: ours are read and composed, of others what they name is there."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from hydra.errors import HydraException
from support.commands import check, commands_in_blocks, commands_in_prose, is_ours
from support.pages import PAGES, ROOT, forget_modules, name_of, write_modules

from lightning_dqn.runs.build import ConfigError

MORE_PAGES = [ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", ROOT / "benchmarks" / "README.md"]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))


def all_ours(page: Path) -> list[str]:
    text = page.read_text()
    found = [one for one in commands_in_blocks(text) if is_ours(one)]
    return list(dict.fromkeys([*found, *commands_in_prose(text)]))


@pytest.mark.parametrize("page", [one for one in PAGES if all_ours(one)], ids=name_of)
def test_every_command_of_ours_is_read_without_a_mistake(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the modules that the page's programs are, for its commands name what is in them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    write_modules(page.read_text(), tmp_path)
    wrong = {}
    for command in all_ours(page):
        try:
            check(command)
        except Exception as error:
            wrong[command] = f"{type(error).__name__}: {error}"
    forget_modules(tmp_path)
    assert wrong == {}


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


def others() -> list[tuple[str, str]]:
    return [
        (name_of(page), command)
        for page in [*PAGES, *MORE_PAGES]
        for command in commands_in_blocks(page.read_text())
        if not is_ours(command)
    ]


@pytest.mark.parametrize(("page", "command"), others())
def test_what_other_commands_name_is_there(page: str, command: str) -> None:
    program, *words = shlex.split(command.replace("$(", "(").replace("`", ""))
    if program == "make":
        assert {word for word in words if "=" not in word} <= TARGETS
    elif program == "python":
        named = [word for word in words if word.endswith(".py")]
        assert all((ROOT / word).is_file() for word in named)
        assert named or words[0] in ("-c", "-m")
    elif program in ("torchrun", "srun"):  # start ours, several times
        check(f"python {command[command.index('-m lightning_dqn') :]}")
    elif program == "wandb":
        assert words[0] in ("sweep", "agent", "sync")
        assert all((ROOT / word).is_file() for word in words if word.endswith(".yaml"))
    else:
        known = {"pip", "git", "eval", "pre-commit", "pytest"}
        assert program in known, f"{page}: say how {program} is checked, or why it isn't run"


@pytest.mark.parametrize("page", [*PAGES, *MORE_PAGES], ids=name_of)
def test_every_extra_on_a_page_exists(page: Path) -> None:
    named = re.findall(r"'\.\[([\w,-]+)\]'", page.read_text())
    assert {extra for group in named for extra in group.split(",")} <= set(EXTRAS)
