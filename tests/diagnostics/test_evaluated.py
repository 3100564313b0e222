"""Values against what came, where both are known exactly; every way in which an episode ends."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from support.board_agents import perfect_tictactoe
from support.scripted_env import EpisodeScript, episodes, scripted_vector, spec_of

from lightning_dqn import DQN, EnvironmentFactory
from lightning_dqn.agent import Agent
from lightning_dqn.collecting.actor import Step
from lightning_dqn.collecting.evaluation import play_episodes
from lightning_dqn.diagnostics.evaluated import EvaluatedStates
from lightning_dqn.environments.tabular import GamblerVectorEnv, TorusVectorEnv
from lightning_dqn.environments.value_iteration import solve
from lightning_dqn.networks.torsos import Tabular


def look(
    environment: Any,
    agent: Agent,
    gamma: float,
    *,
    most_states: int = 512,
    reward_clip: float | None = None,
    **options: Any,
) -> dict[str, float]:
    """Play an episode of each environment and return what is told of it."""
    states = EvaluatedStates(most_states)
    played = play_episodes(
        environment,
        agent.spec,
        agent,
        **{"episodes_per_env": 1, **options},
        observers=[states.before_step],
        step_observers=[states.after_step],
    )
    assert list(played)
    return states.overestimation(agent, gamma, reward_clip)


def table_of(spec: Any, q_values: np.ndarray) -> Agent:
    agent = DQN(spec, network=Tabular(), compile=False).agent.eval()
    agent.q_network.weight.data = torch.as_tensor(q_values, dtype=torch.float32)
    return agent


def torus(num_envs: int, *, error: float = 0.0) -> tuple[Any, Agent]:
    environment = TorusVectorEnv(num_envs, size=5, max_episode_steps=50)
    q_values = solve(environment.mdp(0.9)) + error
    return environment, table_of(EnvironmentFactory(environment).spec, q_values)


def test_exact_values_of_a_process_without_an_end_are_no_overestimation() -> None:
    found = look(*torus(4), 0.9)
    assert found["overestimation"] == pytest.approx(0.0, abs=1e-5)
    assert found["predicted_return"] == pytest.approx(found["discounted_return"], abs=1e-5)
    assert found["discounted_return"] < -1


def test_an_error_of_all_values_is_found_less_what_stands_in_for_the_truncated_rest() -> None:
    found = look(*torus(4, error=3.0), 0.9)
    expected = np.mean([3.0 * (1 - 0.9**left) for left in range(1, 51)])
    assert found["overestimation"] == pytest.approx(expected, abs=1e-4)


def test_an_episode_that_evaluation_cuts_is_one_that_was_truncated() -> None:
    found = look(*torus(4, error=3.0), 0.9, max_episode_steps=10, episodes_per_env=2)
    expected = np.mean([3.0 * (1 - 0.9**left) for left in range(1, 11)])
    assert found["overestimation"] == pytest.approx(expected, abs=1e-4)


def test_few_states_are_spread_evenly_over_the_episode() -> None:
    # Of 50 steps of 4 environments at most 20 states: every 16th step, 50, 34, 18 and 2 left.
    found = look(*torus(4, error=3.0), 0.9, most_states=20)
    expected = np.mean([3.0 * (1 - 0.9**left) for left in (50, 34, 18, 2)])
    assert found["overestimation"] == pytest.approx(expected, abs=1e-4)


def test_a_gambler_who_knows_the_odds_expects_what_comes() -> None:
    environment = GamblerVectorEnv(200, goal=10, first_capital=5)
    spec = EnvironmentFactory(environment).spec
    q_values = solve(environment.mdp(1.0))
    found = look(environment, table_of(spec, q_values), 1.0, most_states=10_000)
    # Capital 5 of 10: one bold bet that is won with the probability of heads, 0.4.
    assert found["predicted_return"] == pytest.approx(0.4)
    assert found["discounted_return"] == pytest.approx(0.4, abs=0.12)
    high = look(environment, table_of(spec, q_values + 0.5), 1.0, most_states=10_000)
    assert high["overestimation"] > 0.3


def test_in_self_play_the_signs_go_from_ply_to_ply() -> None:
    kwargs = {"encoding": "index", "random_plies": 3}
    environment = EnvironmentFactory("lightning_dqn/TicTacToe-v0", kwargs=kwargs)
    values = next(perfect_tictactoe().agent.q_network.parameters()).detach().numpy()
    agent, vector = table_of(environment.spec, values), environment.make(30)
    found = look(vector, agent, -0.9)
    assert found["overestimation"] == pytest.approx(0.0, abs=1e-5)
    wrong = look(vector, agent, 0.9)
    assert abs(wrong["overestimation"]) > 0.05


class Second(gym.Env[Any, Any]):
    """Two steps of reward 1 in state 0, then termination and truncation at once."""

    observation_space = gym.spaces.Discrete(2)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.steps = 0
        return 0, {}

    def step(self, action: Any) -> Any:
        self.steps += 1
        return int(self.steps == 2), 1.0, self.steps == 2, self.steps == 2, {}


def test_where_an_episode_ends_in_both_ways_nothing_follows() -> None:
    vector = SyncVectorEnv([Second] * 2, autoreset_mode=AutoresetMode.NEXT_STEP)
    agent = table_of(EnvironmentFactory(vector).spec, np.full((2, 2), 7.0))
    found = look(vector, agent, 0.5)
    assert found["discounted_return"] == pytest.approx((1.5 + 1.0) / 2)
    assert found["predicted_return"] == pytest.approx(7.0)


def test_waiting_environments_do_not_count() -> None:
    scripts = [episodes(1), [EpisodeScript((1.0, 1.0, 1.0, 1.0))]]
    spec = spec_of()
    agent = DQN(spec, network=[{"Linear": 2}], compile=False).agent.eval()
    found = look(scripted_vector(scripts), agent, 1.0)
    assert found["discounted_return"] == pytest.approx((1 + 4 + 3 + 2 + 1) / 5)


@pytest.mark.parametrize(
    ("clip", "lives", "expected"),
    [
        (None, False, (5 - 4 + 1 - 4 + 1 + 1) / 3),
        (1.0, False, (1 - 1 + 1 - 1 + 1 + 1) / 3),
        (1.0, True, (1 - 1 - 1 + 1) / 3),
    ],
)
def test_returns_count_as_in_learning_clipped_and_until_a_life_is_lost(
    clip: float | None, lives: bool, expected: float
) -> None:
    script = EpisodeScript((5.0, -4.0, 1.0), lives_lost=(1,))
    agent = DQN(spec_of(has_life_losses=lives), network=[{"Linear": 2}], compile=False).agent.eval()
    found = look(scripted_vector([[script]], tells_lives=lives), agent, 1.0, reward_clip=clip)
    assert found["discounted_return"] == pytest.approx(expected)


@pytest.mark.parametrize("lives_lost", [(), (1,)])
def test_an_end_that_cost_a_life_has_nothing_after_it_also_where_it_is_truncated(
    lives_lost: tuple[int, ...],
) -> None:
    script = EpisodeScript((1.0, 1.0), terminated=False, truncated=True, lives_lost=lives_lost)
    spec = spec_of(has_life_losses=True)
    agent = DQN(spec, network=[{"Linear": 2}], compile=False).agent.eval()
    found = look(scripted_vector([[script]], tells_lives=True), agent, 1.0)
    is_known = found["discounted_return"] == pytest.approx((2 + 1) / 2)
    assert is_known == bool(lives_lost)


class ActorOf:
    """What is asked of an actor: one environment's episode has ended."""

    ended = np.array([True, False])
    stacked = np.zeros((2, 3), np.float32)
    action_mask = None


def test_an_episode_that_a_workers_restart_cut_is_unknown() -> None:
    agent = DQN(spec_of(), network=[{"Linear": 2}], compile=False).agent.eval()
    states = EvaluatedStates()
    states.before_step(np.zeros((2, 3), np.float32), np.array([True, True]))
    no = np.zeros(2, bool)
    step = Step(np.zeros(2, np.int64), np.ones(2), no, np.array([True, False]), no, [])
    states.after_step(step, ActorOf(), no)  # type: ignore[arg-type]
    assert states.overestimation(agent, 0.9) == {}


def test_before_any_step_there_is_nothing_to_tell() -> None:
    agent = DQN(spec_of(), network=[{"Linear": 2}], compile=False).agent
    assert EvaluatedStates().overestimation(agent, 0.9) == {}
