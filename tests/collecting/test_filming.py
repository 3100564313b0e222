"""Videos of an evaluation show the episodes that it counted, whatever they share chance with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from support.gif_frames import times_shown
from support.shown_env import ShownEnv, UndrawnEnv, UnrepeatableEnv

from lightning_dqn.agent import Agent
from lightning_dqn.collecting.evaluation import EvaluationConfig, Evaluator
from lightning_dqn.collecting.filming import Studio
from lightning_dqn.collecting.takes import Filmed, Footage, unrepeated
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.system.seeding import global_generators
from lightning_dqn.transitions import Episode

SEED = 5


def agent_for(environment: EnvironmentFactory) -> Agent:
    torch.manual_seed(0)
    return Agent(environment, network=[{"Linear": 4}, "ReLU"]).eval()


def evaluated(
    environment: EnvironmentFactory, agent: Agent, config: EvaluationConfig, per_env: int
) -> list[Episode]:
    evaluator = Evaluator(environment, config)
    played = evaluator.play(agent, seed=SEED, episodes_per_env=per_env, observers=[])
    episodes = list(played)
    evaluator.close()
    return episodes


def filmed(
    folder: Path,
    environment: Any = ShownEnv,
    *,
    per_env: int = 1,
    max_frames: int = 100,
    look_up: Any = lambda: None,
    factory: dict[str, Any] | None = None,
    **config: Any,
) -> tuple[list[Filmed], list[Episode]]:
    """Return videos of an evaluation, and the episodes that it counted."""
    made = EnvironmentFactory(environment, **(factory or {}))
    agent, found = agent_for(made), EvaluationConfig(**{"num_envs": 4, **config})
    episodes = evaluated(made, agent, found, per_env)
    studio = Studio(made, found)
    footage = Footage(folder, "a_", "gif", max_frames)
    try:
        videos = studio.film(
            agent, episodes, footage, seed=SEED, episodes_per_env=per_env, look_up=look_up
        )
    finally:
        studio.close()
    return videos, episodes


@pytest.mark.parametrize(
    ("per_env", "epsilon", "vectorization"),
    [(1, 0.0, "sync"), (3, 0.0, "sync"), (1, 0.5, "sync"), (3, 0.5, "async")],
)
def test_three_episodes_are_shown_whole_and_named_by_their_return(
    per_env, epsilon, vectorization, tmp_path
):
    how = {"vectorization": vectorization}
    videos, episodes = filmed(tmp_path, per_env=per_env, epsilon=epsilon, factory=how)
    ranked = sorted(one.episode_return for one in episodes)
    assert [one.which for one in videos] == ["best", "median", "worst"]
    middle = ranked[(len(ranked) - 1) // 2]
    assert [one.episode.episode_return for one in videos] == [ranked[-1], middle, ranked[0]]
    for one in videos:
        assert one.episode == one.ranked
        assert times_shown(one.path) == [*range(one.episode.episode_length + 1)]
        name = f"a_{one.which}_return_{one.episode.episode_return:.6g}.gif"
        assert one.path == tmp_path / name
    assert len([*tmp_path.iterdir()]) == 3


@pytest.mark.parametrize(
    ("environment", "kwargs"),
    [
        ("lightning_dqn/TicTacToe-v0", {"opponent": "random"}),
        ("lightning_dqn/ConnectFour-v0", {}),
        ("CartPole-v1", {}),
    ],
)
def test_episodes_that_share_one_stream_of_chance_are_repeated(environment, kwargs, tmp_path):
    if environment == "CartPole-v1":
        pytest.importorskip("pygame")
    made = {"kwargs": kwargs}
    videos, _ = filmed(tmp_path, environment, per_env=2, epsilon=0.3, factory=made, num_envs=3)
    assert len(videos) == 3
    assert all(one.episode == one.ranked for one in videos)


def test_a_cut_episode_is_shown_as_far_as_it_was_counted(tmp_path):
    videos, _ = filmed(tmp_path, per_env=2, max_episode_steps=2)
    for one in videos:
        assert one.episode.is_cut
        assert times_shown(one.path) == [0, 1, 2]


@pytest.mark.parametrize(
    ("length", "max_frames", "every", "shown"),
    [
        (5, 7, 1, [0, 1, 2, 3, 4, 5]),
        (5, 6, 1, [0, 1, 2, 3, 4, 5]),
        (5, 5, 2, [0, 2, 4, 5]),
        (5, 3, 3, [0, 3, 5]),
        (5, 2, 5, [0, 5]),
        (5, 1, 5, [5]),
        (9, 3, 5, [0, 5, 9]),
        (9, 4, 3, [0, 3, 6, 9]),
    ],
)
def test_a_long_episode_shows_one_frame_in_so_many_and_its_last(
    length, max_frames, every, shown, tmp_path
):
    class Long(ShownEnv):
        def reset(self, **kwargs: Any) -> Any:
            super().reset(**kwargs)
            self.length = length
            return self._observation(), {}

    videos, _ = filmed(tmp_path, Long, max_frames=max_frames)
    for one in videos:
        assert times_shown(one.path) == shown
        notes = [f"one frame in {every}: {max_frames} are the most"]
        assert one.notes == (notes if every > 1 else [])


def test_nothing_is_drawn_of_other_episodes(tmp_path, monkeypatch):
    drawn: list[int] = []
    render = ShownEnv.render
    monkeypatch.setattr(ShownEnv, "render", lambda env: drawn.append(1) or render(env))
    videos, _ = filmed(tmp_path, per_env=5)
    frames = sum(one.episode.episode_length + 1 for one in videos)
    assert len(drawn) == frames + 1, "one more to see whether it can be drawn at all"


def test_an_episode_that_is_not_repeated_is_named_by_what_is_shown(tmp_path):
    videos, _ = filmed(tmp_path, UnrepeatableEnv)
    for one in videos:
        assert one.episode != one.ranked
        assert one.path.name == f"a_unrepeated_return_{one.episode.episode_return:.6g}.gif"
        assert one.path.is_file()
        assert f"counted return {one.ranked.episode_return:g} in" in unrepeated(one)
        assert f"shows return {one.episode.episode_return:g} in" in unrepeated(one)
        assert "\n" not in unrepeated(one)


def test_the_generators_of_all_are_where_they_were(tmp_path):
    class Draws(ShownEnv):
        def step(self, action: Any) -> Any:
            np.random.rand(), torch.rand(())  # noqa: NPY002
            return super().step(action)

    made = EnvironmentFactory(Draws)
    agent, config = agent_for(made), EvaluationConfig(num_envs=2)
    episodes = evaluated(made, agent, config, 1)
    before = global_generators()
    studio = Studio(made, config)
    studio.film(agent, episodes, Footage(tmp_path, "", "gif", 9), seed=SEED, episodes_per_env=1)
    studio.close()
    after = global_generators()
    assert torch.equal(before.pop("torch"), after.pop("torch"))
    assert before == after


def test_what_ends_it_leaves_nothing(tmp_path):
    looks: list[int] = []

    def look_up() -> None:
        looks.append(1)
        if len(looks) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        filmed(tmp_path, look_up=look_up)
    assert list(tmp_path.iterdir()) == []


class Blind(gym.Wrapper):
    """Draws nothing though it says that it does."""

    def render(self) -> Any:
        return None


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ("lightning_dqn/Torus-v0", "gives no pictures .*: it has no render mode at all"),
        (UndrawnEnv, "can't be shown: pygame is not installed, run"),
        (lambda: ShownEnv(), "this function takes no render_mode"),
        (lambda render_mode=None: Blind(ShownEnv(render_mode)), "rgb_array: the environment gave"),
    ],
)
def test_what_can_not_be_drawn_is_refused_in_one_line(environment, message):
    with pytest.raises(ValueError, match=message) as refused:
        Studio(EnvironmentFactory(environment), EvaluationConfig())
    assert "\n" not in str(refused.value)


def test_it_films_where_evaluation_plays_if_that_is_elsewhere(tmp_path):
    class Other(ShownEnv):
        pass

    elsewhere = EvaluationConfig(num_envs=2, environment=Other)
    studio = Studio(EnvironmentFactory(ShownEnv), elsewhere)
    assert studio.name == "Other"
    studio.close()
