"""Episodes one at a time, step by step."""

from __future__ import annotations

from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from support.shown_env import FakeRun, ShownEnv, UndrawnEnv, color

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.finished.evaluate import evaluate
from lightning_dqn.runs.finished.showing import Moment, Stage, episode_seeds


def stage_of(environment: Any, **arguments: Any) -> Stage:
    names = {"epsilon", "max_episode_steps", "render_mode"} & arguments.keys()
    how = {name: arguments.pop(name) for name in names}
    run = FakeRun(environment, **arguments)
    return Stage(run.environment(), run.agent_for(run.environment()), **how)


def moments(stage: Stage, seed: int) -> list[Moment]:
    return list(stage.play(seed))


def test_the_first_moment_is_the_beginning_and_the_last_one_the_end():
    first, *steps = moments(stage_of(ShownEnv), 3)
    assert (first.action, first.reward, first.episode.episode_length) == (None, 0.0, 0)
    assert [one.episode.episode_length for one in steps] == [*range(1, len(steps) + 1)]
    assert [one.is_over for one in steps] == [False] * (len(steps) - 1) + [True]
    rewards = np.cumsum([one.reward for one in steps])
    assert rewards.tolist() == [one.episode.episode_return for one in steps]
    assert steps[0].observation[0, 0] == 0, "the action was chosen by what was seen before it"


def test_a_seed_is_an_episode_whatever_was_played_before():
    stage = stage_of(ShownEnv, epsilon=0.5)
    first = [one.episode for one in moments(stage, 3)]
    assert [one.episode for one in moments(stage, 4)] != first
    assert [one.episode for one in moments(stage, 3)] == first
    assert [one.episode for one in moments(stage_of(ShownEnv, epsilon=0.5), 3)] == first


@pytest.mark.parametrize("epsilon", [0.0, 0.7])
@pytest.mark.parametrize(
    "environment", [ShownEnv, "lightning_dqn/ConnectFour-v0"], ids=["own", "board"]
)
def test_the_episode_of_a_seed_is_the_one_that_evaluation_plays(environment, epsilon):
    run: Any = FakeRun(environment)
    stage = stage_of(environment, epsilon=epsilon)
    found = [moments(stage, seed)[-1].episode for seed in range(5)]
    few = {"num_envs": 1, "episodes_per_env": 1, "epsilon": epsilon}
    assert found == [evaluate(run, seed=seed, **few).episodes[0] for seed in range(5)]
    assert len(set(found)) > 1 or epsilon == 0


def test_an_episode_is_cut_and_says_so():
    last = moments(stage_of(ShownEnv, max_episode_steps=2), 3)[-1]
    assert last.is_over
    assert last.episode.is_cut
    assert last.episode.episode_length == 2


def test_a_frame_is_what_stands_after_each_moment():
    stage = stage_of(ShownEnv, render_mode="rgb_array")
    seen = [tuple(stage.frame()[0, 0]) for _ in stage.play(3)]
    assert seen == [color(time) for time in range(len(seen))]
    stage = stage_of(ShownEnv, render_mode="ansi")
    assert [stage.frame() for _ in stage.play(3)][:2] == ["at 0\n", "at 1\n"]


def test_what_is_missing_to_draw_is_named_in_one_line():
    stage = stage_of(UndrawnEnv, render_mode="rgb_array")
    next(stage.play(0))
    with pytest.raises(ConfigError, match=r"can't be shown: pygame is not installed, run `pip"):
        stage.frame()


def test_a_native_environment_shows_itself_too():
    stage = stage_of("lightning_dqn/TicTacToe-v0", render_mode="ansi")
    assert stage.render_modes == ["ansi", "rgb_array"]
    assert stage.fps == 2
    frames = [stage.frame() for _ in stage.play(0)]
    assert frames[0] == ". . .\n. . .\n. . ."
    assert frames[1].count("X") == 1


def test_rewards_are_the_environments_own_whatever_wrappers_make_of_them():
    halved = partial(gym.wrappers.TransformReward, func=lambda reward: reward / 2)
    plain = [one.reward for one in moments(stage_of(ShownEnv), 3)]
    wrapped = moments(stage_of(ShownEnv, wrappers=[halved]), 3)
    assert [one.reward for one in wrapped] == plain
    assert wrapped[-1].episode.wrapped_return == sum(plain) / 2


def test_frames_are_stacked_as_the_agent_knows_them():
    stage = stage_of(ShownEnv, frame_stack=3)
    seen = [one.observation[0, :, 0].tolist() for one in moments(stage, 3)]
    assert seen[1:5] == [[0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3]]


def test_legal_moves_are_obeyed_and_told():
    last = moments(stage_of("lightning_dqn/ConnectFour-v0", epsilon=1.0), 0)[-1]
    assert last.action_mask is not None
    assert last.action_mask[0, last.action]


def test_a_sum_that_is_not_finite_is_refused():
    class Endless(ShownEnv):
        def step(self, action: Any) -> Any:
            observation, _, *rest = super().step(action)
            return observation, float("inf"), *rest

    bounded = partial(gym.wrappers.TransformReward, func=lambda reward: min(reward, 1.0))
    with pytest.raises(ValueError, match="whose sum is inf; mend the environment"):
        moments(stage_of(Endless, wrappers=[bounded]), 3)


def test_seeds_begin_with_the_one_given_and_differ():
    seeds = episode_seeds(7, 20)
    assert seeds[0] == 7
    assert len(set(seeds)) == 20
    assert episode_seeds(7, 3) == seeds[:3]
