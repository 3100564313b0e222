"""Commands as pages write them, and whether they could run: read and composed, not run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache

from generated_pages.commands import options_of

from lightning_dqn.commands.command import part_arguments, read_options
from lightning_dqn.commands.main import _WITH_CONFIGURATION, COMMANDS
from lightning_dqn.runs.budget import spread_budget
from lightning_dqn.runs.check import check_keys, check_values
from lightning_dqn.runs.compose import Composer
from lightning_dqn.runs.trust import take_trust
from support.pages import blocks, prose

_OURS = re.compile(r"^(?:python -m lightning_dqn|lightning-dqn)(?: |$)")
_INLINE = re.compile(r"`((?:python|lightning-dqn|make|pip|pytest|git|pre-commit|wandb) [^`]+)`")
_IN_SOURCE = re.compile(r"^\s*(?:# )?(python -m lightning_dqn \S.*?)(?: {2,}.*)?$", re.M)
_SETTING = re.compile(r"`(\+?[a-z_]+(?:[./][\w/]+)*=[^`\s]+)`")
_OF_HYDRA = ("--help", "--version", "--hydra-help", "-sc")
ELSEWHERE = "+experiment=cartpole seed=0,1"
"""What ``...`` stands for on a page: whatever is swept over."""


def commands_in_blocks(text: str) -> Iterator[str]:
    """Yield what a page's blocks for a shell run, a command a line, without comments."""
    for block in blocks(text, "bash"):
        if not block.why_not:
            yield from commands_of(block.text)


def commands_of(shell: str) -> Iterator[str]:
    """Yield the commands of a block for a shell."""
    for line in shell.replace("\\\n", " ").splitlines():
        command = re.sub(r"(^|\s)#.*", "", line).strip()
        if command:
            yield command


def commands_in_prose(text: str) -> Iterator[str]:
    """Yield the commands that stand in sentences and tables."""
    yield from _INLINE.findall(prose(text))


def commands_in_source(text: str) -> Iterator[str]:
    """Yield the commands of ours in the docstrings of a module or the comments of YAML.

    What is optional, as ``[key=value ...]``, is left out, and what stands for the reader's own is
    one word; two blanks part a command from its remark. A line that lists several commands is none.
    """
    for found in _IN_SOURCE.findall(text):
        if ", " not in re.sub(r"<[^>]*>", "", found):
            yield re.sub(r"<[^>]*>", "mine", re.sub(r" \[[^\]]*\]| <keys>", "", found))


def settings_in_prose(text: str) -> Iterator[str]:
    """Yield the settings that stand in sentences and tables, as ``data.batch_size=64``.

    Words without a dot, slash or plus may as well be an option of a command, or of another
    program. Several values to choose among are several settings.
    """
    for found in _SETTING.findall(prose(text)):
        key, _, values = found.partition("=")
        if re.search(r"[./+]", key) and "..." not in found:
            yield from (f"{key}={value}" for value in values.split("|"))


def is_ours(command: str) -> bool:
    """Tell whether a command is of this project's command line."""
    return bool(_OURS.match(command))


@cache  # pages share some of them
def check(command: str) -> None:
    """Read a command of ours as it would be read, with all of its keys, and run nothing.

    Raises:
        ConfigError: a word, a key or a value doesn't exist.
        HydraException: likewise.
    """
    text = _OURS.sub("", command).replace("...", ELSEWHERE).replace("[key=value]", "")
    words = shlex.split(text)
    if words and words[0] in _OF_HYDRA:
        return
    name = words.pop(0) if words and words[0] in COMMANDS else "train"
    words = [word for word in words if word not in ("--help", "--json")]
    if name != "train":
        kind = options_of(name)
        takes_keys = name in _WITH_CONFIGURATION
        own, rest = part_arguments(words, kind) if takes_keys else (words, [])
        if own:
            read_options(own, kind)
        if name == "resume":
            rest = [one for one in rest if "=N" not in one]
        words = ["-m", *rest] if name in ("study", "suite") and rest else rest
    if name == "train" or words:
        _compose(words)


def _compose(words: list[str]) -> None:
    _, words = take_trust([one for one in words if not one.startswith("resume=")])
    with Composer(words) as composer:
        if composer.only_shows:
            composer.config()
            return
        if any(word.startswith("sweep=") for word in words):
            assert composer.search is not None  # its spaces are read; it makes its jobs up itself
            return
        seen: set[str] = set()
        for job in composer.jobs():
            check_keys(job.config)
            spread_budget(job.config)
            check_values(job.config, seen)
