"""The agents that come with the page of Atari 100k are those of its table, and load in one line."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from support.pages import CARDS

import lightning_dqn

AGENTS = sorted(CARDS.iterdir())


@pytest.mark.parametrize("folder", AGENTS, ids=lambda one: one.name)
def test_its_numbers_are_those_of_the_table(folder: Path) -> None:
    results = json.loads((folder / "results.json").read_text())
    told, training = results["evaluation"], results["training"]
    with (CARDS.parent / "ema_rainbow.csv").open(newline="") as file:
        [run] = (
            row
            for row in csv.DictReader(file)
            if (row["game"], row["seed"]) == (folder.name, str(training["seed"]))
        )
    assert told["mean_reward"] == pytest.approx(float(run["episode_return"]))
    assert (told["episodes"], training["env_steps"]) == (100, 100_000)
    assert training["origin"]["commit"] == run["commit"]


@pytest.mark.parametrize("folder", AGENTS, ids=lambda one: one.name)
def test_it_loads_and_acts(folder: Path) -> None:
    agent = lightning_dqn.load(folder)  # holds the files against their checksums
    frames = np.random.default_rng(0).integers(0, 256, (3, *agent.spec.stacked_shape), np.uint8)
    values = agent.q_values(frames)
    assert agent.act(frames).tolist() == values.argmax(dim=1).tolist()
    assert values.std() > 0


@pytest.mark.parametrize("folder", AGENTS, ids=lambda one: one.name)
def test_it_has_a_video_and_is_small(folder: Path) -> None:
    assert b"ftyp" in (folder / "replay.mp4").read_bytes()[:16]
    assert sum(path.stat().st_size for path in folder.iterdir()) < 7e6
