"""What a search may be asked for."""

from typing import Any

import pytest
from support.searches import ASKED, asked

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.study.search import Search

pytest.importorskip("optuna")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"n_trials": 0}, r"^sweep.n_trials=0: expected a whole number from 1$"),
        ({"n_jobs": -1}, r"^sweep.n_jobs=-1: expected a whole number from 1$"),
        ({"seed": "x"}, r"^sweep.seed=x: expected a whole number from 0$"),
        ({"direction": "maximise"}, "^sweep.direction=maximise: choose maximize or minimize$"),
        ({"metric": "loss"}, r"^sweep.metric=loss: expected eval/... or test/..., or null$"),
        ({"sampler": "tpee"}, "^sweep.sampler=tpee: choose tpe, random, or _target_ of"),
        ({"pruner": "nope"}, "^sweep.pruner=nope: choose median, hyperband, none, or _target_ of"),
        ({"params": {}}, "^sweep.params: nothing to search; give a key what to choose from"),
        ({"params": {"seed": "0,1"}}, "^seed: can't be searched"),
        ({"params": {"lr": "0.1"}}, "^lr=0.1: nothing to search"),
        ({"n_trial": 3}, "^sweep.n_trial: no such key; did you mean n_trials"),
        (
            {"pruner": {"_target_": "optuna.pruners.MedianPruner", "n_startup_trials": -1}},
            "^sweep.pruner=optuna.pruners.MedianPruner: ",
        ),
    ],
)
def test_what_is_wrong_is_told_by_its_key(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told) as error:
        asked(**changed)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("target", ["os.system", "optuna.pruners.os.system", "my.MedianPruner"])
def test_nothing_but_a_pruner_of_optunas_is_built(target: str) -> None:
    with pytest.raises(ConfigError, match=f"sweep.pruner={target}: not a class of optuna.pruners"):
        asked(pruner={"_target_": target})


def test_a_key_that_a_file_lacks_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^sweep.metric: is missing$"):
        Search.of({key: value for key, value in ASKED.items() if key != "metric"})


def test_trials_beside_each_other_are_kept_apart_by_the_sampler() -> None:
    search = asked(sampler="tpe")
    assert search.sampler_asked(1, 0)["constant_liar"] is False
    assert search.sampler_asked(2, 0)["constant_liar"] is True


@pytest.mark.parametrize(
    "sampler", ["random", {"_target_": "optuna.samplers.RandomSampler", "seed": 0}]
)
def test_a_search_that_goes_on_doesnt_draw_the_same_again(sampler: Any) -> None:
    search = asked(sampler=sampler)
    assert [search.sampler_asked(1, before)["seed"] for before in (0, 3)] == [0, 3]


def test_hyperband_reaches_from_one_epoch_to_the_whole_run() -> None:
    made = asked(pruner="hyperband").pruner_asked(1_000, 8)
    assert (made["min_resource"], made["max_resource"]) == (1_000, 8_000)


@pytest.mark.parametrize(
    ("metric", "evaluated"),
    [(None, "eval/episode_return"), ("eval/x", "eval/x"), ("test/x", "eval/x")],
)
def test_trials_are_pruned_by_what_they_are_valued_by(metric: str | None, evaluated: str) -> None:
    assert asked(metric=metric).evaluated == evaluated
