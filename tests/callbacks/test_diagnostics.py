"""Diagnostics tell every logger at their period, of what applies, and leave nothing behind."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.demos.boring_classes import BoringModel
from pytorch_lightning.loggers.logger import DummyLogger
from support.board_runs import ID, board_data, board_module
from support.q_learning import online, q_learning

from lightning_dqn import EnvironmentFactory, EvaluationConfig
from lightning_dqn.callbacks import Diagnostics, EMATargetNetwork
from lightning_dqn.networks.heads.categorical import CategoricalHead
from lightning_dqn.replay.samplers.lambda_returns import LambdaReturns
from lightning_dqn.replay.samplers.prioritized import PrioritizedSampling
from lightning_dqn.replay.storage import ReplayConfig
from lightning_dqn.reporting.csv_logger import csv_logger
from lightning_dqn.reporting.glossary import GLOSSARY

Fit = Callable[..., Any]

FAMILY = {
    "values": re.compile("values/|eval/(overestimation|predicted_return|discounted_return)"),
    "exploration": re.compile("exploration/"),
    "replay": re.compile("replay/"),
    "network": re.compile("network/"),
    "evaluation": re.compile("eval/return_p"),
}


class Notes(DummyLogger):
    """Keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int | None, dict[str, float]]] = []

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.rows.append((step, dict(metrics)))

    def names(self) -> set[str]:
        return {key for _, row in self.rows for key in row}


@pytest.fixture
def fit(make_trainer: Any, make_data: Any, make_module: Any) -> Fit:
    """A function that fits one epoch and returns what was logged."""

    def run(module: Any = None, data: Any = None, **settings: Any) -> Notes:
        notes = Notes()
        module = make_module() if module is None else module
        data = make_data() if data is None else data
        settings = {"every_n_env_steps": 8, **settings}
        callbacks = [EMATargetNetwork(tau=0.1)] if module.target.slow_copy else []
        trainer = make_trainer(
            callbacks=[*callbacks, Diagnostics(**settings)],
            logger=notes,
            limit_val_batches=1.0,
            log_every_n_steps=1,
        )
        trainer.fit(module, data)
        assert data.observers == data.step_observers == []
        return notes

    return run


def told(notes: Notes) -> dict[str, set[str]]:
    """Return the keys of each family, without the family's name."""
    return {
        name: {key.partition("/")[2] for key in notes.names() if family.match(key)}
        for name, family in FAMILY.items()
    }


def of_glossary(key: str) -> bool:
    return any(re.fullmatch(re.sub("<[a-z]+>", "[^/]+", re.escape(k)), key) for k in GLOSSARY)


def distribution(name: str) -> set[str]:
    return {f"{name}_p{share}" for share in (5, 25, 50, 75, 95)}


EVALUATED = {"overestimation", "predicted_return", "discounted_return"}


def test_a_plain_run_tells_of_all_that_applies(fit: Fit, make_data: Any) -> None:
    found = told(fit(data=make_data(batch_size=8, warmup_env_steps=80)))
    distributions = distribution("q_value") | distribution("td_error")
    assert found["values"] == distributions | {"action_gap"} | EVALUATED
    assert found["exploration"] == {"action_entropy", "action_share/0", "action_share/1"}
    drawn = {"ratio", "age_mean", "duplicates"} | distribution("age")
    assert found["replay"] == drawn | {"fill", "terminated", "truncated", "largest_reward"}
    layers = {
        f"{what}/{n}" for what in ("weight_norm", "gradient_norm") for n in ("torso.0", "head")
    }
    assert found["network"] == layers | {"target_distance", "dormant_units"}
    assert found["evaluation"] == {f"return_p{share}" for share in (0, 25, 50, 75, 100)}


@pytest.mark.parametrize("name", FAMILY)
def test_each_family_can_be_switched_off(name: str, fit: Fit, make_data: Any) -> None:
    found = told(fit(data=make_data(batch_size=8, warmup_env_steps=80), **{name: False}))
    assert [family for family, keys in found.items() if not keys] == [name]


def test_with_priorities_and_atoms_these_are_told_too(
    fit: Fit, make_data: Any, make_module: Any
) -> None:
    head = CategoricalHead(num_atoms=5, v_min=0.0, v_max=10.0)
    data = make_data(batch_size=8, sampler=PrioritizedSampling())
    found = told(fit(make_module(head=head, noisy=True), data))
    assert distribution("priority") | {"priority_stale"} <= found["replay"]
    assert "target_outside_range" in found["values"]


def test_a_table_that_learns_online_leaves_out_what_does_not_apply(fit: Fit) -> None:
    notes = fit(q_learning("FrozenLake-v1"), online("FrozenLake-v1", env_steps_per_epoch=40))
    found = told(notes)
    assert found["replay"] == found["exploration"] == set()
    assert found["values"] == {"action_gap"} | EVALUATED
    assert found["network"] == {"weight_norm/Table", "gradient_norm/Table"}


def test_lambda_returns_have_values_and_no_replay(
    fit: Fit, make_data: Any, make_module: Any
) -> None:
    sampler = LambdaReturns(rollout_length=8, epochs=1, minibatches=1)
    module = make_module(slow_copy=False, double=False)
    found = told(fit(module, make_data(sampler=sampler, env_steps_per_epoch=80)))
    assert found["replay"] == set()
    assert distribution("td_error") <= found["values"]


@pytest.mark.parametrize("overlap", [False, True])
def test_self_play_with_illegal_moves_is_told_of(overlap: bool, fit: Fit) -> None:
    notes = fit(board_module(), board_data(overlap=overlap), every_n_env_steps=64)
    found = told(notes)
    assert "action_gap" in found["values"]
    assert len(found["exploration"]) == 10
    gaps = [row["values/action_gap"] for _, row in notes.rows if "values/action_gap" in row]
    assert all(0 < gap < 10 for gap in gaps), "without illegal moves"


def test_whatever_is_told_stands_in_the_glossary_and_is_a_number(fit: Fit, make_data: Any) -> None:
    notes = fit(data=make_data(batch_size=8, warmup_env_steps=80))
    assert [k for k in notes.names() if not of_glossary(k) and k not in ("epoch", "step")] == []
    assert all(value == value for _, row in notes.rows for value in row.values())


def test_looks_come_after_the_first_iteration_at_or_past_a_multiple(
    fit: Fit, make_data: Any
) -> None:
    # Warm-up to 16, then iterations to 24, 32, 40, 48, ... 80.
    data = make_data(env_steps_per_epoch=64)
    rows = [(n, r) for n, r in fit(data=data, every_n_env_steps=30).rows if "replay/fill" in r]
    assert [step for step, _ in rows] == [32, 64]
    assert [row["time/env_steps"] for _, row in rows] == [32, 64]


def test_what_is_told_is_there_to_be_monitored(
    make_trainer: Any, make_data: Any, make_module: Any, tmp_path: Path
) -> None:
    best = ModelCheckpoint(tmp_path, monitor="values/action_gap", save_on_train_epoch_end=True)
    trainer = make_trainer(
        callbacks=[EMATargetNetwork(tau=0.1), Diagnostics(every_n_env_steps=8), best],
        limit_val_batches=1.0,
        enable_checkpointing=True,
    )
    trainer.fit(make_module(), make_data())
    assert best.best_model_score == trainer.callback_metrics["values/action_gap"]
    assert trainer.callback_metrics["eval/return_p50"] > 0


def test_every_logger_has_the_same_numbers(
    make_trainer: Any, make_data: Any, make_module: Any, tmp_path: Path
) -> None:
    notes, others = Notes(), Notes()
    trainer = make_trainer(
        callbacks=[EMATargetNetwork(tau=0.1), Diagnostics(every_n_env_steps=8)],
        logger=[notes, others, csv_logger(tmp_path)],
        limit_val_batches=1.0,
        log_every_n_steps=1,
    )
    trainer.fit(make_module(), make_data())
    with (tmp_path / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert others.rows == notes.rows
    for key in ("replay/age_mean", "network/dormant_units", "eval/overestimation"):
        given = [row[key] for _, row in notes.rows if key in row]
        assert len(given) == (1 if key.startswith("eval") else 3)
        assert [float(row[key]) for row in rows if row[key]] == pytest.approx(given)


def test_a_validation_alone_is_told_of(make_trainer: Any, make_data: Any, make_module: Any) -> None:
    trainer = make_trainer(callbacks=[Diagnostics()], limit_val_batches=1.0)
    data = make_data(evaluation=EvaluationConfig(num_envs=3))
    [results] = trainer.validate(make_module(), data, verbose=False)
    assert results["eval/return_p0"] <= results["eval/return_p100"]
    difference = results["eval/predicted_return"] - results["eval/discounted_return"]
    assert results["eval/overestimation"] == pytest.approx(difference)
    assert data.observers == data.step_observers == []


@pytest.mark.parametrize("training", [None, "random"])
@pytest.mark.parametrize("evaluation", [None, "random"])
def test_values_are_compared_with_returns_where_a_step_is_the_same(
    make_trainer: Any, training: str | None, evaluation: str | None
) -> None:
    trainer = make_trainer(callbacks=[Diagnostics()], limit_val_batches=1.0)
    data = board_data(
        opponent=training, evaluation=EnvironmentFactory(ID, kwargs={"opponent": evaluation})
    )
    [results] = trainer.validate(board_module(), data, verbose=False)
    told = {key for key in results if FAMILY["values"].match(key)}
    assert told == ({f"eval/{name}" for name in EVALUATED} if training == evaluation else set())
    assert "eval/return_p50" in results


def test_returns_are_in_the_reward_that_is_learned_from(
    make_trainer: Any, make_data: Any, make_module: Any
) -> None:
    trainer = make_trainer(callbacks=[Diagnostics()], limit_val_batches=1.0)
    data = make_data(replay=ReplayConfig(gamma=0.0, reward_clip=0.5))
    [results] = trainer.validate(make_module(), data, verbose=False)
    assert results["eval/discounted_return"] == 0.5  # CartPole pays 1


def test_a_sanity_check_is_not_told_of(make_trainer: Any, make_data: Any, make_module: Any) -> None:
    notes = Notes()
    trainer = make_trainer(
        callbacks=[EMATargetNetwork(tau=0.1), Diagnostics()],
        limit_val_batches=1.0,
        num_sanity_val_steps=1,
        log_every_n_steps=1,
        logger=notes,
        max_epochs=1,
    )
    trainer.fit(make_module(), make_data())
    assert sum("eval/return_p0" in row for _, row in notes.rows) == 1


class Fails(pl.Callback):
    """Fails in the midst of a validation."""

    def on_validation_batch_end(self, *args: Any) -> None:
        raise RuntimeError("enough")


def test_after_a_failure_nobody_looks_on(
    make_trainer: Any, make_data: Any, make_module: Any
) -> None:
    data = make_data()
    trainer = make_trainer(callbacks=[Diagnostics(), Fails()], limit_val_batches=1.0)
    with pytest.raises(RuntimeError, match="enough"):
        trainer.validate(make_module(), data, verbose=False)
    assert data.observers == data.step_observers == []


def test_modes_are_as_they_were(fit: Fit, make_module: Any) -> None:
    module = make_module(network=[{"Linear": 8}, "ReLU", {"Dropout": 0.5}])
    seen = []

    class After(pl.Callback):
        def on_train_batch_end(self, *args: Any) -> None:
            seen.append([layer.training for layer in module.q_network.modules()])

    module.configure_callbacks = lambda: [After()]  # type: ignore[method-assign]
    fit(module)
    assert len(seen) == 3
    assert all(all(modes) for modes in seen)
    assert torch.is_grad_enabled()


def test_a_period_below_1_is_refused() -> None:
    with pytest.raises(ValueError, match="every_n_env_steps=0: at least 1"):
        Diagnostics(every_n_env_steps=0)


def test_another_module_is_refused(make_trainer: Any) -> None:
    trainer = make_trainer(callbacks=[Diagnostics()])
    with pytest.raises(TypeError, match="Diagnostics needs a DQN, not a BoringModel"):
        trainer.fit(BoringModel())


def test_rows_of_env_steps_that_come_again_are_taken_away_with_their_columns_kept(
    make_trainer: Any, make_data: Any, make_module: Any, tmp_path: Path
) -> None:
    trainer = make_trainer(
        callbacks=[EMATargetNetwork(tau=0.1), Diagnostics(every_n_env_steps=16)],
        logger=csv_logger(tmp_path),
        log_every_n_steps=1,
    )
    trainer.fit(make_module(), make_data())  # rows at 24, 32 and 40, a look at 32
    csv_logger(tmp_path).rewind(32, 4)
    with (tmp_path / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["time/env_steps"]) for row in rows] == [24, 32, 32]
    assert [bool(row["replay/fill"]) for row in rows] == [False, False, True]
