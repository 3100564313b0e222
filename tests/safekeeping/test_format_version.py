"""Checkpoints of every format that there was load; newer ones are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_dqn import DQN
from lightning_dqn.callbacks import EMATargetNetwork
from lightning_dqn.safekeeping import format_version
from lightning_dqn.safekeeping.format_version import FORMAT_VERSION, MIGRATIONS, migrated, stamped
from lightning_dqn.safekeeping.reading import read_checkpoint

STORED = {int(path.stem.split("_")[1]): path for path in Path(__file__).parent.glob("format_*")}
"""Version -> a checkpoint of CartPole after 12 updates, as that version wrote it."""


def test_a_checkpoint_of_every_version_is_stored_and_every_step_is_there():
    assert set(STORED) == set(range(1, FORMAT_VERSION + 1))
    assert set(MIGRATIONS) == set(range(1, FORMAT_VERSION))


@pytest.mark.parametrize("version", STORED)
def test_a_stored_checkpoint_is_learned_on_from(version, make_trainer, make_data, make_module):
    assert torch.load(STORED[version], weights_only=True)["format_version"] == version
    module = make_module(network=[{"Linear": 32}, "ReLU", {"Linear": 32}, "ReLU"])
    trainer = make_trainer(callbacks=[EMATargetNetwork(tau=0.1)], max_epochs=2)
    trainer.fit(module, make_data(), ckpt_path=STORED[version])
    assert module.updates == 24
    assert DQN.load_from_checkpoint(STORED[version]).updates == 12


def test_a_checkpoint_without_a_version_is_of_the_first():
    assert migrated({"weights": 1}, "a.ckpt")["weights"] == 1
    assert stamped({"weights": 1}) == {"weights": 1, "format_version": FORMAT_VERSION}


def test_an_older_checkpoint_goes_through_every_step_in_order(monkeypatch):
    def step(name: str) -> Any:
        return lambda checkpoint: {**checkpoint, "steps": [*checkpoint.get("steps", []), name]}

    monkeypatch.setattr(format_version, "FORMAT_VERSION", 3)
    monkeypatch.setattr(format_version, "MIGRATIONS", {1: step("1 to 2"), 2: step("2 to 3")})
    assert migrated({}, "a.ckpt")["steps"] == ["1 to 2", "2 to 3"]
    assert migrated({"format_version": 2}, "a.ckpt")["steps"] == ["2 to 3"]
    assert "steps" not in migrated({"format_version": 3}, "a.ckpt")


@pytest.mark.parametrize(
    ("version", "told"), [(99, "upgrade lightning-dqn"), ("2", "is no version"), (0, "is no")]
)
def test_what_is_newer_or_no_version_is_refused_in_one_line(version, told, tmp_path):
    path = tmp_path / "a.ckpt"
    torch.save({"format_version": version}, path)
    with pytest.raises(ValueError, match=rf"^{path}: .*{told}") as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)
