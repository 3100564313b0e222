"""Folders of runs and studies that would run code, and a module that tells whether it did."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

EVIL = """
from pathlib import Path
Path(__file__).with_name("canary").touch()

import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv
from hydra.experimental.callback import Callback
from pytorch_lightning import Callback as LightningCallback
from torch import nn

if "X-v0" not in gymnasium.registry:
    gymnasium.register("X-v0", CartPoleEnv, max_episode_steps=20)


class Wrapper(gymnasium.Wrapper):
    pass


class Watch(Callback):
    pass


class Own(LightningCallback):
    pass


class Net(nn.Sequential):
    def __init__(self, width):
        super().__init__(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 2))
"""
"""``evilmod``: what runs wish for, and a file beside it that is there once it was imported."""


class Canary:
    """The module ``evilmod`` in a folder, and whether anything was run.

    Attributes:
        path: of a file that a hostile folder's calls would make.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "canary"
        (folder / "evilmod.py").write_text(EVIL)

    @property
    def sang(self) -> bool:
        """Whether ``evilmod`` was imported, or the file made."""
        return self.path.exists() or "evilmod" in sys.modules


def make_canary(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Canary:
    """Put ``evilmod`` where Python finds it, not imported, and go there."""
    canary = Canary(folder)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.chdir(folder)
    monkeypatch.delitem(sys.modules, "evilmod", raising=False)
    return canary


def changed_run(run: Path, folder: Path, changes: dict[str, Any], *overrides: str) -> Path:
    """Copy a run, with nodes of its configuration replaced and these overrides saved in it."""
    shutil.copytree(run, folder)
    path = folder / ".hydra" / "config.yaml"
    config = OmegaConf.load(path)
    for key, value in changes.items():
        OmegaConf.update(config, key, value, merge=False, force_add=True)
    OmegaConf.save(config, path)
    OmegaConf.save(OmegaConf.create(list(overrides)), folder / ".hydra" / "overrides.yaml")
    return folder
