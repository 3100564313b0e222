"""Evaluation episodes: as many of each environment, each counted whole."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from support.scripted_env import EpisodeScript, IdentityEnv, episodes, scripted_vector, spec_of

from lightning_dqn.collecting.evaluation import EvaluationConfig, play_episodes
from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.transitions import Episode


class Fixed:
    """Takes the same action always, or the first legal one, and counts its calls."""

    def __init__(self, action: int = 0) -> None:
        self.action = action
        self.observations: list[np.ndarray] = []

    def act(self, observation: np.ndarray, action_mask: np.ndarray | None = None) -> np.ndarray:
        self.observations.append(observation)
        if action_mask is not None:
            return action_mask.argmax(axis=1)
        return np.full(len(observation), self.action)


class KnowsTheState:
    """The best policy of ``IdentityEnv`` with one-hot observations."""

    def act(self, observation: np.ndarray, action_mask: np.ndarray | None = None) -> np.ndarray:
        return observation.argmax(axis=1)


def play(scripts: Any, episodes_per_env: int, *, spec: Any = None, **kwargs: Any) -> list[Episode]:
    spec = spec or spec_of()
    environment = scripted_vector(scripts, masked=spec.has_action_mask)
    policy = kwargs.pop("policy", Fixed())
    return list(
        play_episodes(environment, spec, policy, episodes_per_env=episodes_per_env, **kwargs)
    )


def identity_return(epsilon: float, seed: int = 0) -> list[float]:
    """Return the returns of the best policy disturbed by ``epsilon``."""
    environment = gym.vector.SyncVectorEnv([lambda: IdentityEnv(2, episode_length=50)] * 8)
    played = play_episodes(
        environment,
        EnvironmentSpec((2,), "float32", 2),
        KnowsTheState(),
        episodes_per_env=3,
        epsilon=epsilon,
        seed=seed,
    )
    return [episode.episode_return for episode in played]


def test_short_episodes_are_not_counted_more_often_than_long_ones():
    # The first 4 episodes to finish are all of the first environment: a mean return of 1.
    played = play([episodes(1), [EpisodeScript((1.0,) * 9)]], 2)
    assert sorted(played) == [Episode(1.0, 1)] * 2 + [Episode(9.0, 9)] * 2
    assert np.mean([e.episode_return for e in played]) == 5


def test_every_environment_plays_its_own_episodes_in_order():
    played = play([episodes(1, 2, 3), episodes(4, 5, 6)], 2)
    assert sorted(e.episode_length for e in played) == [1, 2, 4, 5]


def test_episodes_come_as_they_finish():
    environment = scripted_vector([episodes(1), episodes(6)])
    policy = Fixed()
    stream = play_episodes(environment, spec_of(), policy, episodes_per_env=1)
    assert next(stream) == Episode(1.0, 1)
    assert len(policy.observations) == 1
    assert next(stream) == Episode(21.0, 6)
    assert next(stream, None) is None


@pytest.mark.parametrize(("terminated", "truncated"), [(True, False), (False, True), (True, True)])
def test_an_episode_that_ends_in_any_way_is_counted_once(terminated, truncated):
    script = episodes(2, terminated=terminated, truncated=truncated)
    assert play([script], 3) == [Episode(3.0, 2)] * 3


def test_a_second_evaluation_begins_with_new_episodes():
    environment = scripted_vector([episodes(5), episodes(1)])
    for _ in range(2):  # the first leaves the second environment in the middle of an episode
        played = play_episodes(environment, spec_of(), Fixed(), episodes_per_env=1)
        assert sorted(played) == [Episode(1.0, 1), Episode(15.0, 5)]


@pytest.mark.parametrize("epsilon", [0.0, 0.7])
def test_only_legal_actions_are_taken(epsilon):
    # ScriptedEnv refuses all others.
    played = play([episodes(3), episodes(9)], 20, spec=spec_of(masked=True), epsilon=epsilon)
    assert len(played) == 40


def test_actions_are_shifted_to_where_the_space_starts():
    environment = scripted_vector([episodes(3)], first_action=7)
    list(play_episodes(environment, spec_of(), Fixed(2), episodes_per_env=1))
    assert environment.envs[0].actions == [2, 2, 2]


def test_stacks_begin_anew_with_each_episode():
    policy = Fixed()
    play([episodes(2)], 2, spec=spec_of(frame_stack=2), policy=policy)
    frames = [
        [tuple(f[1:]) for f in observation[0].tolist()] for observation in policy.observations
    ]
    assert frames == [
        [(0, 0), (0, 0)],
        [(0, 0), (0, 1)],
        [(0, 1), (0, 2)],  # the final observation: the environment ignores the action
        [(1, 0), (1, 0)],
        [(1, 0), (1, 1)],
    ]


def test_epsilon_is_the_share_of_random_actions():
    assert identity_return(0.0) == [50.0] * 24
    # Of two actions a random one is right half of the time.
    assert np.mean(identity_return(0.4)) == pytest.approx(40, abs=1.5)
    assert np.mean(identity_return(1.0)) == pytest.approx(25, abs=1.5)


def test_the_same_seed_plays_the_same_episodes_and_another_seed_others():
    assert identity_return(0.5, seed=3) == identity_return(0.5, seed=3)
    assert identity_return(0.5, seed=3) != identity_return(0.5, seed=4)


def test_the_seed_is_that_of_the_environments_too():
    environment = gym.make_vec("CartPole-v1", 4, vectorization_mode="vector_entry_point")
    spec = EnvironmentSpec((4,), "float32", 2)

    def lengths(seed: int) -> list[int]:
        played = play_episodes(environment, spec, Fixed(), episodes_per_env=3, seed=seed)
        return [episode.episode_length for episode in played]

    assert lengths(1) == lengths(1)
    assert lengths(1) != lengths(2)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_envs", 0),
        ("episodes_per_env", 0),
        ("test_episodes_per_env", 0),
        ("epsilon", 1.5),
        ("epsilon", -0.5),
    ],
)
def test_a_setting_that_means_nothing_is_refused_by_name(key, value):
    with pytest.raises(ValueError, match=f"^{key}="):
        EvaluationConfig(**{key: value})
