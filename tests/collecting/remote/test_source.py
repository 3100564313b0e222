"""Rows of actors elsewhere: the same as here where asked for, and at the pace that was set."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from support.fake_ray import FakeRay
from support.scripted_policies import LastLegalAction

from lightning_dqn import (
    DQN,
    CollectionConfig,
    EnvironmentFactory,
    ReplayConfig,
    ReplayDataModule,
)
from lightning_dqn.collecting.contract import Collected
from lightning_dqn.collecting.remote import actor, actor_pool
from lightning_dqn.collecting.remote import config as remote_config
from lightning_dqn.collecting.remote.actor import RemoteActor
from lightning_dqn.collecting.remote.block import Block, BlockRequest
from lightning_dqn.collecting.remote.config import RayCollectionConfig
from lightning_dqn.collecting.remote.source import RaySource
from lightning_dqn.collecting.source import EnvironmentSource
from lightning_dqn.environments.state import UnknownStateError
from lightning_dqn.environments.worker_faults import WorkerRestarted
from lightning_dqn.extra_columns import INITIAL_PRIORITY, NO_PRIORITY, ExtraColumn
from lightning_dqn.learning.targets import Target
from lightning_dqn.networks.torsos import MLP
from lightning_dqn.replay.samplers.prioritized import PrioritizedSampling
from lightning_dqn.schedules import LinearSchedule
from lightning_dqn.transitions import NO_ACTION, Rows, joined

EPSILON = LinearSchedule(1.0, 0.05, 1_000)
PACE = {"warmup_env_steps": 100, "env_steps_per_iteration": 64, "seed": 3}
READING = ReplayConfig(gamma=0.9, n_step=3)
Make = Callable[..., Any]


@pytest.fixture
def rays(monkeypatch) -> list[FakeRay]:
    """Those that were begun, in place of Ray."""
    begun: list[FakeRay] = []

    def begin(address: str | None) -> FakeRay:
        begun.append(FakeRay(seed=len(begun)))
        return begun[-1]

    monkeypatch.setattr(remote_config, "Session", begin)
    return begun


@pytest.fixture
def make_source(rays) -> Iterator[Make]:
    """A function that makes a source of 4 CartPoles, of actors unless it is told otherwise."""
    made: list[RaySource | EnvironmentSource] = []

    def make(kind: type = RayCollectionConfig, **settings: Any) -> Any:
        pace = {name: settings.pop(name, value) for name, value in PACE.items()}
        stack = settings.pop("frame_stack", 1)
        environment = EnvironmentFactory("CartPole-v1", num_envs=4, frame_stack=stack)
        config = kind(**{"epsilon": EPSILON, **settings})
        made.append(config.make(environment, **pace))
        return made[-1]

    yield make
    for source in made:
        source.close()


class Changing:
    """A module whose weights change with every iteration, the same way each time."""

    def __init__(self, *, noisy: bool = False, stack: int = 1) -> None:
        torch.manual_seed(0)
        network = MLP(hidden=[16], noisy=noisy)
        environment = EnvironmentFactory("CartPole-v1", frame_stack=stack)
        self.module = DQN(environment, network=network, compile=False)
        self.generator = torch.Generator().manual_seed(1)

    def change(self) -> None:
        with torch.no_grad():
            for parameter in self.module.q_network.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=self.generator))

    def iterations(self, source: Any, number: int) -> list[Collected]:
        found = []
        for _ in range(number):
            found.append(source.collect(self.module))
            source.prefetch(self.module)
            self.change()
        return found


def warm_up(source: Any, learner: Any) -> list[tuple[Rows, int]]:
    return list(source.warm_up(learner.module))


def as_read(state: dict[str, Any], folder: Path) -> Any:
    """Return a state as it is read from a checkpoint."""
    torch.save(state, folder / "state.ckpt")
    return torch.load(folder / "state.ckpt", weights_only=True)


def check_equal(one: list[Collected], other: list[Collected]) -> None:
    for a, b in zip(one, other, strict=True):
        for column, same in zip(a.rows[:-1], b.rows[:-1], strict=True):
            np.testing.assert_array_equal(column, same)
        extra, others = a.rows.extra or {}, b.rows.extra or {}
        assert extra.keys() == others.keys()
        for name, column in extra.items():
            np.testing.assert_array_equal(column, others[name])
        assert a[1:5] == b[1:5]


@pytest.mark.parametrize("noisy", [False, True])
def test_synchronous_rows_are_those_of_the_local_source_bit_for_bit(make_source, noisy):
    found = []
    for source in (
        make_source(CollectionConfig),
        make_source(num_actors=1, synchronous=True),
    ):
        learner = Changing(noisy=noisy)
        parts = warm_up(source, learner)
        warmed_up = [Collected(rows, env_steps, 0, 0.0, []) for rows, env_steps in parts]
        found.append([*warmed_up, *learner.iterations(source, 20)])
    check_equal(*found)
    assert {c.rows.observation.flags.writeable for c in found[1]} == {True}
    actions = np.concatenate([c.rows.action.flatten() for c in found[1]])
    assert set(actions) == {NO_ACTION, 0, 1}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"initial_priorities": True},
        {"weights_every_n_iterations": 2},  # newer ones go out after one more iteration
        {"weights_every_n_iterations": 3},  # at once
        {"weights_every_n_iterations": 9},  # never
    ],
    ids=str,
)
def test_a_synchronous_run_goes_on_exactly_and_with_actors_that_differ(
    make_source, settings, tmp_path
):
    how = {"num_actors": 2, "synchronous": True, **settings}
    source, learner = make_source(**how), Changing(noisy=True)
    source.read_as(READING)
    warm_up(source, learner)
    learner.iterations(source, 3)
    state = source.state_dict()
    weights, drawn = learner.module.state_dict(), learner.generator.get_state()
    kept = {name: tensor.clone() for name, tensor in weights.items()}
    expected = learner.iterations(source, 4)

    continued = make_source(**how)
    continued.read_as(READING)
    assert continued.load_state_dict(as_read(state, tmp_path)) is None
    learner.module.load_state_dict(kept)
    learner.generator.set_state(drawn)
    found = learner.iterations(continued, 4)
    check_equal(found, expected)
    assert [one.metrics for one in found] == [one.metrics for one in expected]
    halves = np.split(expected[-1].rows.observation, 2, axis=1)
    assert not np.array_equal(*halves)


def test_a_run_that_is_saved_again_before_it_goes_on_keeps_the_weights_of_its_actors(make_source):
    how = {"num_actors": 2, "synchronous": True, "weights_every_n_iterations": 4}
    source, learner = make_source(**how), Changing()
    warm_up(source, learner)
    learner.iterations(source, 2)
    state, kept = source.state_dict(), deepcopy(learner.module.state_dict())
    expected = learner.iterations(source, 2)
    assert source.state_dict()["weights"] is None, "the newest are due"
    again = make_source(**how)
    again.load_state_dict(state)
    continued = make_source(**how)
    continued.load_state_dict(again.state_dict())
    learner.module.load_state_dict(kept)
    found = learner.iterations(continued, 2)
    check_equal(found, expected)
    assert [one.metrics for one in found] == [one.metrics for one in expected], "of their age too"


def test_a_checkpoint_without_the_weights_of_actors_is_gone_on_with_by_the_newest(
    make_source, rays
):
    how = {"num_actors": 2, "synchronous": True, "weights_every_n_iterations": 2}
    source, learner = make_source(**how), Changing()
    warm_up(source, learner)
    learner.iterations(source, 1)
    state = source.state_dict()
    del state["weights"]
    continued = make_source(**how)
    assert continued.load_state_dict(state) is None
    [collected] = learner.iterations(continued, 1)
    assert collected.metrics["rollout/policy_age"] == collected.new_env_steps


def test_actors_go_ahead_and_no_more_is_taken_than_was_asked_for(make_source):
    source, learner = make_source(num_actors=2, block_rows=32), Changing()
    parts = warm_up(source, learner)
    assert 100 <= parts[-1][1] < 104
    taken = sum(int((rows.action != NO_ACTION).sum()) for rows, _ in parts)
    assert taken == parts[-1][1]
    found = learner.iterations(source, 12)
    for number, collected in enumerate(found, start=1):
        assert 100 + 64 * number <= collected.env_steps < 100 + 64 * number + 4
        assert (collected.rows.action != NO_ACTION).sum() == collected.new_env_steps
    assert {c.metrics["rollout/actors"] for c in found} == {2}
    # at most two blocks of 16 times ahead, and what was taken since
    assert max(c.metrics["rollout/rows_ahead"] for c in found) <= 2 * 2 * 32
    assert 0 < max(c.metrics["rollout/policy_age"] for c in found) <= 64 + 2 * 2 * 32 + 64


def test_rows_of_each_environment_follow_each_other(make_source):
    source, learner = make_source(num_actors=2, block_rows=16), Changing()
    warm_up(source, learner)
    rows = [c.rows for c in learner.iterations(source, 8)]
    action, observation = (
        np.concatenate([getattr(r, n) for r in rows]) for n in Rows._fields[1::-1]
    )
    terminated = np.concatenate([r.terminated | r.truncated for r in rows])
    ended = action == NO_ACTION
    np.testing.assert_array_equal(ended[1:], terminated[:-1])
    within = ~ended[:-1] & ~terminated[:-1]
    moved = observation[:-1, :, 0] + 0.02 * observation[:-1, :, 1]  # CartPole's own arithmetic
    np.testing.assert_allclose(observation[1:, :, 0][within], moved[within], atol=1e-5)
    assert ended.any()


def test_what_is_upcoming_is_what_the_next_rows_begin_with(make_source):
    source, learner = make_source(num_actors=2, block_rows=16), Changing()
    warm_up(source, learner)
    for _ in range(3):
        source.collect(learner.module)
        observation, mask = source.upcoming()
        assert mask is None
        np.testing.assert_array_equal(
            observation, source.collect(learner.module).rows.observation[0]
        )


def test_a_run_whose_actors_were_ahead_ends_open_episodes_when_it_goes_on(make_source):
    source, learner = make_source(num_actors=2, block_rows=16), Changing()
    warm_up(source, learner)
    learner.iterations(source, 3)
    state, following = source.state_dict(), source.upcoming()[0]
    assert state["actors"] is None
    continued = make_source(num_actors=2, block_rows=16)
    last = continued.load_state_dict(state)
    assert (last.action == NO_ACTION).all()
    np.testing.assert_array_equal(last.observation[0], following)
    found = learner.iterations(continued, 2)
    assert [c.env_steps - state["env_steps"] for c in found] == pytest.approx([64, 128], abs=4)
    assert np.abs(found[0].rows.observation[0]).max() < 0.05  # CartPole's first observations


def test_a_state_of_a_source_in_this_process_can_be_gone_on_with(make_source):
    source, learner = make_source(CollectionConfig), Changing()
    warm_up(source, learner)
    learner.iterations(source, 2)
    following = source.upcoming()[0].copy()
    last = make_source(num_actors=1).load_state_dict(source.state_dict())
    np.testing.assert_array_equal(last.observation[0], following)


def test_a_source_in_this_process_goes_on_with_a_state_of_actors(make_source):
    source, learner = make_source(num_actors=2, synchronous=True), Changing()
    warm_up(source, learner)
    collected = learner.iterations(source, 2)[-1]
    following = source.upcoming()[0].copy()
    continued = make_source(CollectionConfig)
    last = continued.load_state_dict(source.state_dict())
    np.testing.assert_array_equal(last.observation[0], following)
    assert (last.action == NO_ACTION).all()
    [after] = learner.iterations(continued, 1)
    assert after.env_steps == pytest.approx(collected.env_steps + 64, abs=4)
    assert after.epsilon == EPSILON(after.env_steps)
    assert np.abs(after.rows.observation[0]).max() < 0.05  # CartPole's first observations


def test_what_a_source_in_this_process_had_collected_ahead_is_gone_on_with_too(make_source):
    source, learner = make_source(CollectionConfig, overlap=True), Changing()
    warm_up(source, learner)
    [collected] = learner.iterations(source, 1)
    state = source.state_dict()
    following = source.upcoming()[0].copy()
    ahead = source.collect(learner.module).rows
    continued = make_source(num_actors=1, synchronous=True)
    rows = continued.load_state_dict(state)
    np.testing.assert_array_equal(rows.observation, [*ahead.observation, following])
    np.testing.assert_array_equal(rows.action[:-1], ahead.action)
    assert (rows.action[-1] == NO_ACTION).all()
    is_open = (ahead.action[-1] != NO_ACTION) & ~ahead.terminated[-1]
    np.testing.assert_array_equal(rows.truncated[-2], is_open | ahead.truncated[-1])
    found = learner.iterations(continued, 2)
    assert [c.new_env_steps for c in found] == pytest.approx([64, 64], abs=4)
    assert found[0].env_steps == collected.env_steps + found[0].new_env_steps


def test_actors_whose_environments_cannot_be_read_begin_anew(make_source, monkeypatch):
    source, learner = make_source(num_actors=2, synchronous=True), Changing()
    warm_up(source, learner)
    assert source.state_dict()["actors"] is not None

    def fail(environment: Any) -> None:
        raise UnknownStateError("more than 16 MiB")

    monkeypatch.setattr(actor, "read_states", fail)
    with pytest.warns(UserWarning, match=r"^CartPole-v1: .* \(more than 16 MiB\): .* as truncated"):
        state = source.state_dict()
    assert state["actors"] is None
    last = make_source(num_actors=2, synchronous=True).load_state_dict(state)
    assert (last.action == NO_ACTION).all()


def test_an_actor_that_died_before_a_save_is_replaced_after_it(make_source, rays):
    source, learner = make_source(num_actors=2, synchronous=True), Changing()
    warm_up(source, learner)
    source._pool._actors[1].is_dead = True
    state = source.state_dict()
    assert state["actors"] is None
    with pytest.warns(WorkerRestarted, match="actor 1 was lost"):
        [collected] = learner.iterations(source, 1)
    assert collected.worker_restarts == 1
    last = make_source(num_actors=2, synchronous=True).load_state_dict(state)
    assert (last.action == NO_ACTION).all()


@pytest.mark.parametrize("settings", [{"synchronous": True}, {"blocks_ahead": 1}])
@pytest.mark.parametrize("num_actors", [1, 2])
def test_where_all_actors_are_lost_at_once_others_go_on(make_source, num_actors, settings):
    """What waits of those that were lost is enough for an iteration, but nobody is there."""
    source = make_source(num_actors=num_actors, env_steps_per_iteration=4, **settings)
    learner = Changing()
    warm_up(source, learner)
    for one in source._pool._actors:
        one.is_dead = True
    with pytest.warns(WorkerRestarted, match="was lost"):
        iterations = learner.iterations(source, 200)
    assert iterations[-1].worker_restarts == num_actors
    newest = np.concatenate([one.rows.action for one in iterations])[-20:]
    assert (newest != NO_ACTION).any(axis=0).all(), "all environments are stepped again"


def test_where_one_actor_cannot_go_on_all_begin_new_episodes(make_source):
    source, learner = make_source(num_actors=2, synchronous=True), Changing()
    warm_up(source, learner)
    state = source.state_dict()
    assert np.abs(source.upcoming()[0][:2]).max() > 0.05
    state["actors"][1]["environments"] = {"=": "object", "class": "another.Environment"}
    continued = make_source(num_actors=2, synchronous=True)
    last = continued.load_state_dict(state)
    assert (last.action == NO_ACTION).all()
    [collected] = learner.iterations(continued, 1)
    assert np.abs(collected.rows.observation[0]).max() < 0.05  # CartPole's first observations


def test_a_new_source_goes_on_where_the_learner_is_by_its_policy(make_source):
    source, learner = make_source(num_actors=1, synchronous=True, epsilon=0.0), Changing()
    source.continue_from(900)
    parts = warm_up(source, learner)
    assert 1_000 <= parts[-1][1] < 1_004
    again = make_source(num_actors=1, synchronous=True, epsilon=0.0)
    assert not np.array_equal(warm_up(again, learner)[0][0].observation, parts[0][0].observation)


def test_the_next_iterations_are_asked_for_before_learning_and_never_too_many(make_source, rays):
    source, learner = make_source(num_actors=2, block_rows=16, blocks_ahead=3), Changing()
    warm_up(source, learner)
    learner.iterations(source, 5)
    assert rays[0].most_at_once == 3
    before = len(rays[0].calls)
    source.collect(learner.module)
    source.prefetch(learner.module)
    asked = rays[0].calls[before:]
    assert set(asked) == {"collect"}
    quiet = make_source(num_actors=2, block_rows=16, synchronous=True)
    warm_up(quiet, learner)
    before = len(rays[1].calls)
    quiet.prefetch(learner.module)
    assert len(rays[1].calls) == before
    learner.iterations(quiet, 3)
    assert rays[1].most_at_once == 1


@pytest.mark.parametrize(("every", "sent"), [(1, 6), (3, 2)])
def test_weights_are_sent_as_often_as_was_set(make_source, rays, every, sent, monkeypatch):
    source = make_source(num_actors=2, block_rows=16, weights_every_n_iterations=every)
    put, learner = [], Changing()
    monkeypatch.setattr(
        rays[0], "put", lambda value: put.append(value) or FakeRay.put(rays[0], value)
    )
    warm_up(source, learner)
    learner.iterations(source, 6)
    assert len(put) == sent


def test_actors_explore_each_by_its_epsilon(make_source):
    source = make_source(
        num_actors=2, synchronous=True, epsilon=0.5, apex_alpha=1.0, env_steps_per_iteration=2_000
    )
    learner = Changing()
    warm_up(source, learner)
    [collected] = learner.iterations(source, 1)
    assert collected.epsilon == pytest.approx((0.5 + 0.25) / 2)


def test_a_run_with_frame_stacks_is_saved_while_one_actor_is_ahead(make_source):
    source, learner = make_source(num_actors=2, frame_stack=3, block_rows=16), Changing(stack=3)
    warm_up(source, learner)
    learner.iterations(source, 2)
    emptied, ahead = source._lanes
    emptied.take(emptied.waiting)
    assert ahead.waiting
    saved = source.state_dict()["actor"]["observation"]
    assert saved.shape == (4, 4)
    following = np.concatenate([one.following.observation for one in source._lanes])
    np.testing.assert_array_equal(saved, following)
    with pytest.raises(RuntimeError, match="synchronous=true"):
        source.upcoming()
    continued = make_source(num_actors=2, frame_stack=3, block_rows=16)
    last = continued.load_state_dict(source.state_dict())
    np.testing.assert_array_equal(last.observation[0], following)
    assert (last.action == NO_ACTION).all()


def test_closing_ends_actors_and_ray_and_may_be_repeated(make_source, rays):
    source = make_source(num_actors=2)
    for _ in range(2):
        source.close()
    assert rays[0].is_closed
    assert len(rays[0].killed) == 2
    assert rays[0].calls == ["close", "close"]


def priorities_of(rows: Rows) -> np.ndarray:
    assert rows.extra is not None
    return rows.extra[INITIAL_PRIORITY]


@pytest.mark.parametrize("noisy", [False, True])
def test_initial_priorities_are_computed_by_actors_and_change_nothing_else(make_source, noisy):
    plain, found = (
        make_source(num_actors=2, synchronous=True, initial_priorities=with_them)
        for with_them in (False, True)
    )
    for source in (plain, found):
        source.read_as(READING)
    expected, seen = [], []
    for source, kept in ((plain, expected), (found, seen)):
        learner = Changing(noisy=noisy)
        warm_ups = [rows for rows, _ in warm_up(source, learner)]
        kept += [*warm_ups, *(one.rows for one in learner.iterations(source, 3))]
    assert (priorities_of(seen[0]) == NO_PRIORITY).all(), "of random actions nothing is known"
    for one, other in zip(expected, seen, strict=True):
        assert one.extra is None
        for column, same in zip(one[:-1], other[:-1], strict=True):
            np.testing.assert_array_equal(column, same)
    for rows in seen[1:]:
        known = priorities_of(rows) != NO_PRIORITY
        assert (priorities_of(rows)[known] > 0).all()
        is_start = rows.action != NO_ACTION
        assert not known[~is_start].any()
        assert known[is_start].mean() > 0.5, "the others' three steps end beyond the block"
        assert not known[-1][~rows.terminated[-1]].any()


def test_initial_priorities_go_by_the_weights_and_what_a_transition_is(make_source):
    source = make_source(num_actors=1, synchronous=True, initial_priorities=True)
    source.read_as(ReplayConfig(gamma=LinearSchedule(0.0, 1.0, 10**9), n_step=1, reward_clip=0.5))
    learner = Changing()
    warm_up(source, learner)
    [collected] = learner.iterations(source, 1)
    rows, module = collected.rows, Changing().module
    q_values = module.q_values(rows.observation.reshape(-1, 4)).numpy()
    q_values = q_values.reshape(*rows.action.shape, 2)
    taken = np.take_along_axis(q_values, rows.action.clip(0)[..., None], axis=-1)[..., 0]
    by_hand = np.abs(0.5 - taken)  # gamma is 0 by then, and each step pays 1
    is_start = rows.action != NO_ACTION
    assert priorities_of(rows)[is_start] == pytest.approx(by_hand[is_start], abs=1e-5)


def test_rows_that_fill_up_or_end_episodes_have_the_column_too(make_source):
    source = make_source(num_actors=2, initial_priorities=True)
    source.read_as(READING)
    learner = Changing()
    warm_up(source, learner)
    learner.iterations(source, 2)
    continued = make_source(num_actors=2, initial_priorities=True)
    continued.read_as(READING)
    last = continued.load_state_dict(source.state_dict())
    assert priorities_of(last).tolist() == [[0.0] * 4]


def test_a_policy_that_can_not_tell_priorities_is_refused(make_source):
    source = make_source(initial_priorities=True)
    source.read_as(READING)
    learner = Changing()
    warm_up(source, learner)
    learner.module.behaviour_policy = lambda: LastLegalAction(2)
    with pytest.raises(ValueError, match=r"initial_priorities=True: the policy LastLegalAction"):
        source.collect(learner.module)


class Overlapping(RemoteActor):
    """Sends the last two times again with the next block, and a count of times beside them."""

    def collect(self, request: BlockRequest, snapshot: Any) -> Block:
        block = super().collect(request, snapshot)
        times = np.arange(block.first_time, block.first_time + len(block.rows.action))
        state = np.repeat(times[:, None, None], block.rows.action.shape[1], axis=1)
        rows = block.rows._replace(extra={"state": state})
        before = getattr(self, "_before", None)
        self._before = rows.each(lambda column: column[-2:])
        if before is None:
            return block._replace(rows=rows)
        repeated = len(before.action)
        both = joined([before, rows], axis=0)
        first_time = block.first_time - repeated
        return block._replace(rows=both, first_time=first_time, num_repeated=repeated)


def test_a_block_that_does_not_follow_is_refused_with_its_actor(make_source, monkeypatch):
    class Forgets(RemoteActor):
        def collect(self, request: BlockRequest, snapshot: Any) -> Block:
            return super().collect(request, snapshot)._replace(first_time=7)

    monkeypatch.setattr(actor_pool, "RemoteActor", Forgets)
    source = make_source(num_actors=2, synchronous=True)
    with pytest.raises(ValueError, match=r"^actor [01]: block: its \d+ times from 7 on, .* 0 that"):
        warm_up(source, Changing())


def test_actors_of_ones_own_may_send_a_state_and_blocks_that_overlap(make_source, monkeypatch):
    plain = make_source(num_actors=2, synchronous=True)
    monkeypatch.setattr(actor_pool, "RemoteActor", Overlapping)
    columns = {"state": ExtraColumn((1,), "int64")}
    monkeypatch.setattr(RayCollectionConfig, "extra_columns", columns)
    source = make_source(num_actors=2, synchronous=True)
    found = []
    for one in (plain, source):
        learner = Changing()
        parts = [rows for rows, _ in warm_up(one, learner)]
        parts += [collected.rows for collected in learner.iterations(one, 4)]
        found.append(joined(parts, axis=0))
    for column, same in zip(found[0][:-1], found[1][:-1], strict=True):
        np.testing.assert_array_equal(column, same)
    assert found[1].extra is not None
    times = np.arange(len(found[1].action))
    assert (found[1].extra["state"][..., 0] == times[:, None]).all()


def test_a_fit_draws_new_transitions_by_the_priorities_of_actors(rays, make_trainer, tmp_path):
    data = ReplayDataModule(
        EnvironmentFactory("CartPole-v1", num_envs=4),
        batch_size=8,
        env_steps_per_iteration=64,
        env_steps_per_epoch=192,
        replay=ReplayConfig(capacity=400, n_step=2),
        sampler=PrioritizedSampling(alpha=1.0),
        collection=RayCollectionConfig(
            num_actors=2, synchronous=True, warmup_env_steps=64, initial_priorities=True
        ),
    )
    seen = []

    class Looks(pl.Callback):
        def on_train_batch_start(self, *_: Any) -> None:
            ring, sampler = data.replay, data.sampler
            assert ring is not None
            assert sampler is not None
            cells = ring.newest_cells(12)[:-1].flatten()  # of this iteration
            sent = ring.read(INITIAL_PRIORITY, cells)
            stored = sampler.stored_priorities(cells)
            assert stored is not None
            known = sent >= 0
            seen.append(int((known & (ring.read("action", cells) != NO_ACTION)).sum()))
            assert torch.allclose(stored[known].float(), sent[known] + 1e-6)
            assert ring.sample(1, 2).extra is None, "it is for sampling alone"

    module = DQN(
        "CartPole-v1",
        network=MLP(hidden=[8]),
        compile=False,
        target=Target(double=False, slow_copy=False),
    )
    make_trainer(max_epochs=1, callbacks=[Looks()]).fit(module, data)
    assert len(seen) == 3
    assert min(seen) > 10
