"""Names of runs that stand beside others."""

from __future__ import annotations

import pytest

from lightning_dqn.runs.labels import Labels

STARTED = ["+experiment=cartpole", "module.optimizer.lr=0.001", "data.replay.n_step=3", "seed=0"]


def test_a_run_is_named_by_what_differs_and_grouped_without_its_seed() -> None:
    name, group = Labels.of("cartpole", 0, STARTED)
    assert name == "cartpole n_step=3,lr=0.001,seed=0"
    assert group == "cartpole n_step=3,lr=0.001"


def test_the_seed_is_told_where_it_was_not_given() -> None:
    assert Labels.of("cartpole", 0, ["+experiment=cartpole"]) == ("cartpole seed=0", "cartpole")


def test_the_order_of_the_overrides_makes_no_other_group() -> None:
    assert Labels.of("cartpole", 0, STARTED) == Labels.of("cartpole", 0, STARTED[::-1])


def test_a_continued_run_keeps_its_name() -> None:
    again = [
        *("ckpt_path='a/last.ckpt'", "hydra.run.dir='a'", "trainer.max_epochs=9", "env_steps=1e6"),
        *("logger=wandb", "logger.wandb.offline=true", "tags=[a]", "notes=more", "test=false"),
    ]
    assert Labels.of("cartpole", 0, [*STARTED, *again]) == Labels.of("cartpole", 0, STARTED)


@pytest.mark.parametrize(
    ("overrides", "setting"),
    [
        (
            ["algorithm=rainbow", "callbacks/target_network=hard"],
            "algorithm=rainbow,target_network=hard",
        ),
        (["+data.x='a b'", "++data.y=2"], "x=a b,y=2"),
        (["~callbacks.redo"], "~redo"),
        (["seed=1", "data.start=1", "module.start=2"], "data.start=1,module.start=2"),
        (["data.x=1", "data.x=2"], "x=2"),
    ],
)
def test_keys_are_as_short_as_tells_them_apart(overrides: list[str], setting: str) -> None:
    assert Labels.of("mine", 0, overrides).group == f"mine {setting}"


def test_a_long_setting_is_cut_and_still_another() -> None:
    long = [f"data.key_{number}=1" for number in range(40)]
    first, second = (Labels.of("mine", 0, [*long, f"data.x={value}"]) for value in (1, 2))
    assert len({*first, *second}) == 4
    assert all(len(text) <= 120 for text in (*first, *second))
