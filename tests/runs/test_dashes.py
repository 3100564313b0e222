"""Arguments as W&B's agent writes them by itself."""

from __future__ import annotations

import pytest

from lightning_dqn.runs.dashes import without_dashes
from lightning_dqn.runs.hydra_flags import flags


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("--trainer.max_epochs=3", "trainer.max_epochs=3"),
        ("--seed=0", "seed=0"),
        ("--+experiment=cartpole", "+experiment=cartpole"),
        ("--++a.b=1", "++a.b=1"),
        ("--callbacks/target_network=hard", "callbacks/target_network=hard"),
        ("--experiment=cartpole", "experiment=cartpole"),  # no short --experimental-rerun
        ("--module.network.hidden=[64, 64]", "module.network.hidden=[64, 64]"),
        ("--name=two\nlines=1", "name=two\nlines=1"),
    ],
)
def test_a_key_with_dashes_is_the_key(argument: str, expected: str) -> None:
    assert without_dashes([argument], flags()) == [expected]


@pytest.mark.parametrize(
    "argument",
    [
        *("--cfg=job", "--config-dir=x", "--config-name=y", "--package=a.b", "--info=all"),
        *("--config-dri=x", "--multirun", "-m", "seed=0", "--", "--=1", "--1=2", "-seed=0"),
        "name=--seed=1",
    ],
)
def test_flags_and_what_looks_like_one_stay(argument: str) -> None:
    assert without_dashes([argument], flags()) == [argument]
