"""Extra columns of rows: they stay with their rows, from a source to what is learned from."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.naive_replay import chunks
from support.recurrent_source import COLUMNS, Recurrence, RecurrentCollection
from support.resumed_runs import differences, differences_of_broken_run, fit
from support.scripted_env import episodes, scripted_rows, spec_of

from lightning_dqn import DQN, CollectionConfig, ReplayConfig, ReplayDataModule
from lightning_dqn.callbacks import EMATargetNetwork
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.extra_columns import ExtraColumn
from lightning_dqn.learning.targets import Target
from lightning_dqn.networks.torsos import MLP
from lightning_dqn.replay import archive
from lightning_dqn.replay.ring import ReplayBuffer
from lightning_dqn.replay.samplers.lambda_returns import LambdaReturns
from lightning_dqn.replay.samplers.prioritized import PrioritizedSampling
from lightning_dqn.replay.storage import check_batches_fit, ring_bytes
from lightning_dqn.transitions import Rows, Transitions

UNEVEN = [episodes(3), episodes(5, 2), episodes(1, 4)]


def with_states(num_times: int, spec: Any = None) -> Rows:
    """Return rows of three environments with the states before them."""
    return Recurrence(3).follow(scripted_rows(UNEVEN, num_times, spec or spec_of()))


def ring_of(rows: Rows, keeps: int, *, chunk: int = 4, spec: Any = None, **config: Any) -> Any:
    capacity = keeps * 3
    ring = ReplayBuffer(
        spec or spec_of(), 3, ReplayConfig(capacity, **config), extra_columns=COLUMNS
    )
    for begin in range(0, len(rows.action), chunk):
        ring.extend(rows.each(lambda c, at=begin: c[at : at + chunk]))  # type: ignore[misc]
    return ring


def states_by_observation(rows: Rows) -> dict[tuple[float, ...], tuple[list[float], int]]:
    """Return what was sent with each observation, of which no two are alike."""
    assert rows.extra is not None
    found = {}
    for time, env in np.ndindex(rows.action.shape):
        sent = (rows.extra["state"][time, env].tolist(), int(rows.extra["count"][time, env]))
        found[tuple(rows.observation[time, env].tolist())] = sent
    assert len(found) == rows.action.size
    return found


def assert_aligned(given: Transitions, sent: dict[tuple[float, ...], Any]) -> None:
    assert given.extra is not None
    assert given.extra.keys() == {"state", "count"}, "hidden is for samplers alone"
    for i, observation in enumerate(given.observation.tolist()):
        state, count = given.extra["state"][i].tolist(), int(given.extra["count"][i])
        assert (state, count) == sent[tuple(observation)]


@pytest.mark.parametrize("n_step", [1, 3])
@pytest.mark.parametrize("keeps", [40, 7, 5])
def test_each_transition_has_what_was_sent_with_the_row_that_it_starts_in(n_step, keeps):
    rows = with_states(23)
    ring = ring_of(rows, keeps, n_step=n_step)
    found = ring.transitions_at(ring.start_cells())
    assert len(found.action) > 6
    assert_aligned(found, states_by_observation(rows))


def test_minibatches_have_it_too_update_by_update():
    rows = with_states(23)
    minibatches = ring_of(rows, 9, n_step=2).sample(3, 8).minibatches()
    for minibatch in minibatches:
        assert_aligned(minibatch, states_by_observation(rows))
    assert [one.extra["state"].shape for one in minibatches] == [(8, 2)] * 3  # type: ignore[index]


def test_steps_to_come_have_what_was_sent_with_theirs():
    rows = with_states(23)
    ring = ring_of(rows, 11, sequence_length=3)
    found, sent = ring.transitions_at(ring.start_cells()), states_by_observation(rows)
    assert found.sequence_extra is not None
    for i, observations in enumerate(found.sequence_observation.tolist()):
        for step, observation in enumerate(observations):
            state = found.sequence_extra["state"][i, step].tolist()
            count = int(found.sequence_extra["count"][i, step])
            assert (state, count) == sent[tuple(observation)]


def test_what_is_for_samplers_alone_is_read_from_the_ring():
    ring = ring_of(with_states(12), 6)
    cells = ring.start_cells()
    hidden, count = ring.read("hidden", cells), ring.read("count", cells)
    assert torch.equal(hidden[:, 0], count + 0.5)


def test_a_ring_of_rows_without_them_gives_none():
    ring = ReplayBuffer(spec_of(), 3, ReplayConfig(60, sequence_length=2))
    for part in chunks(scripted_rows(UNEVEN, 9, spec_of()), [4]):
        ring.extend(part)
    found = ring.sample(2, 4)
    assert (found.extra, found.sequence_extra) == (None, None)


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"state": None}, r"^rows.extra\['state'\]: missing"),
        ({"other": np.zeros((4, 3))}, r"^rows.extra\['other'\]: .* without it"),
        ({"count": np.zeros((4, 3), np.int32)}, r"'count'\]: int32\[4, 3\], .* int64\[4, 3\]"),
        ({"state": np.zeros((4, 3, 3))}, r"'state'\]: float64\[4, 3, 3\], .* float64\[4, 3, 2\]"),
        ({"count": np.zeros((3, 3), np.int64)}, r"'count'\]: int64\[3, 3\], .* int64\[4, 3\]"),
    ],
)
def test_rows_that_carry_something_else_than_was_declared_are_refused(change, refused):
    rows = with_states(4)
    ring = ring_of(with_states(4), 9)
    extra = {k: v for k, v in {**(rows.extra or {}), **change}.items() if v is not None}
    with pytest.raises(ValueError, match=refused):
        ring.extend(rows._replace(extra=extra))
    assert ring.total_times == 4, "nothing of them was written"


def test_rows_with_columns_that_nobody_declared_are_refused():
    ring = ReplayBuffer(spec_of(), 3, ReplayConfig(60))
    with pytest.raises(ValueError, match=r"^rows.extra\['state'\]: .* declare it in extra_columns"):
        ring.extend(with_states(4))


@pytest.mark.parametrize("name", ["reward", "action_mask", "extra"])
def test_a_column_by_the_name_of_another_is_refused(name):
    with pytest.raises(ValueError, match=rf"^extra_columns\['{name}'\]: "):
        ReplayBuffer(spec_of(), 3, ReplayConfig(60), extra_columns={name: ExtraColumn()})


@pytest.mark.parametrize(
    ("arguments", "refused"),
    [
        ({"shape": (2, 0)}, r"^shape=\(2, 0\)"),
        ({"shape": (2.0,)}, r"^shape=\(2.0,\)"),
        ({"dtype": "complex64"}, r"^dtype='complex64': choose one of bool, "),
    ],
)
def test_a_column_that_can_not_be_kept_is_refused(arguments, refused):
    with pytest.raises(ValueError, match=refused):
        ExtraColumn(**arguments)


def test_they_count_with_the_memory(monkeypatch):
    plain, extra = (ring_bytes(spec_of(), 3, 60, one) for one in ({}, COLUMNS))
    assert extra - plain == 60 * (16 + 8 + 4)
    needed: list[int] = []
    where = "lightning_dqn.replay.storage.check_fits"
    monkeypatch.setattr(where, lambda number, *_: needed.append(number))
    check_batches_fit(spec_of(), 2, 8, 3)
    check_batches_fit(spec_of(), 2, 8, 3, extra_columns=COLUMNS)
    assert needed[1] - needed[0] == 2 * 8 * (1 + 3) * (16 + 8)


def test_a_ring_takes_back_the_state_of_one_with_the_same_columns_alone():
    ring = ring_of(with_states(9), 6)
    again = ReplayBuffer(spec_of(), 3, ReplayConfig(18), extra_columns=COLUMNS)
    again.load_state_dict(ring.state_dict(with_rows=True))
    cells = ring.start_cells()
    assert torch.equal(again.read("state", cells), ring.read("state", cells))
    for columns in ({}, {**COLUMNS, "state": ExtraColumn((3,), "float64")}):
        other = ReplayBuffer(spec_of(), 3, ReplayConfig(18), extra_columns=columns)
        with pytest.raises(ValueError, match=r"differ in .*state; continue with"):
            other.load_state_dict(ring.state_dict(with_rows=True))


# Runs


def parts(target: Any = None, *, kind: Any = None, compile: bool = False, **arguments: Any) -> Any:
    factory = EnvironmentFactory("CartPole-v1", num_envs=3)
    sizes: dict[str, Any] = {
        "batch_size": 8,
        "updates_per_iteration": 2,
        "env_steps_per_iteration": 12,
        "env_steps_per_epoch": 96,
        "sampler": PrioritizedSampling(),
        "replay": ReplayConfig(capacity=150, n_step=2, sequence_length=2),
        "collection": RecurrentCollection(warmup_env_steps=30),
    }
    module = (kind or Sees)(factory, network=MLP(hidden=[8]), compile=compile, target=target)
    callbacks = [EMATargetNetwork(tau=0.1)] if module.target.slow_copy else []
    return module, ReplayDataModule(factory, **{**sizes, **arguments}), callbacks


class Sees(DQN):
    """Looks at what it learns from."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        extra = batch.transitions.extra
        is_first = extra["count"] == 0
        assert not extra["state"][is_first].any()
        assert extra["state"][~is_first].any(dim=-1).all()
        return super().training_step(batch, batch_idx)


@pytest.mark.parametrize("large", [False, True], ids=["in_the_checkpoint", "beside_it"])
@pytest.mark.parametrize("overlap", [False, True])
def test_a_run_goes_on_with_them_as_if_never_stopped(large, overlap, tmp_path, monkeypatch):
    if large:
        monkeypatch.setattr(archive, "MOST_BYTES_INSIDE", 0)
    collection = RecurrentCollection(warmup_env_steps=30, overlap=overlap)
    made = partial(parts, collection=collection)
    assert differences_of_broken_run(made, tmp_path, epochs=2, iteration=9) == []


def test_an_iteration_of_lambda_returns_has_them(tmp_path):
    target = Target(double=False, slow_copy=False)
    replay, sampler = ReplayConfig(n_step=1), LambdaReturns(rollout_length=4)
    made = partial(parts, target, replay=replay, sampler=sampler)
    assert not fit(made, Path(tmp_path), epochs=1, seed=1).is_stopped


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch's own, on compiling
def test_who_does_not_look_at_them_learns_the_same_compiled_too(tmp_path):
    found = []
    for kind in (CollectionConfig, RecurrentCollection):
        made = partial(parts, kind=DQN, compile=True, collection=kind(warmup_env_steps=30))
        outcome = fit(made, tmp_path / kind.__name__, epochs=1, seed=1)
        found.append(outcome.checkpoint["state_dict"])
    assert differences(*found) == []
