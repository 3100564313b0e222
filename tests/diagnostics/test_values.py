"""Values, errors and gaps of a minibatch, by hand; and nothing is moved by a look."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from lightning_dqn import DQN, EnvironmentSpec
from lightning_dqn.diagnostics.values import action_gap, value_diagnostics
from lightning_dqn.networks.heads.categorical import CategoricalHead
from lightning_dqn.networks.torsos import MLP, Tabular
from lightning_dqn.transitions import Transitions

SHARES = (5, 25, 50, 75, 95)


def test_the_gap_is_between_the_best_two() -> None:
    q_values = torch.tensor([[1.0, 5.0, 3.0], [0.0, -1.0, -4.0]])
    assert action_gap(q_values).item() == pytest.approx((2 + 1) / 2)


def test_only_legal_actions_and_states_with_a_choice_count() -> None:
    q_values = torch.tensor([[1.0, 5.0, 4.0], [0.0, 9.0, 8.0], [7.0, 7.0, 7.0]])
    mask = torch.tensor([[True, False, True], [True, False, False], [False, False, False]])
    assert action_gap(q_values, mask).item() == 3.0
    assert torch.isnan(action_gap(q_values, mask & False))


def test_of_a_single_action_there_is_no_gap() -> None:
    assert action_gap(torch.ones(3, 1)) is None


def table_minibatch(**columns: Any) -> Transitions:
    """Return transitions 0 -> 1 -> ... -> 5 by action 0, with the reward 1."""
    states = torch.arange(6)
    given: dict[str, Any] = {
        "observation": states,
        "action": torch.zeros(6, dtype=torch.int64),
        "reward": torch.ones(6),
        "discount": torch.full((6,), 0.5),
        "next_observation": states.roll(-1),
        "next_action_mask": None,
    }
    return Transitions(**{**given, **columns})


def test_values_and_errors_are_those_of_the_table() -> None:
    spec = EnvironmentSpec((), "int64", 2, num_states=6)
    module = DQN(spec, network=Tabular(), compile=False)
    for network in (module.q_network, module.target_network):
        network.weight.data[:, 0] = torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
        network.weight.data[:, 1] = -1.0
    found = value_diagnostics(module, table_minibatch())
    assert found["values/q_value_p50"].item() == 2.5
    # 1 + 0.5 (s + 1) - s, and 1 + 0 - 5: 1.5, 1, 0.5, 0, -0.5, -4.
    assert found["values/td_error_p50"].item() == pytest.approx(0.25)
    assert found["values/td_error_p95"].item() == pytest.approx(1.375)
    assert found["values/action_gap"].item() == pytest.approx(3.5)
    names = {f"values/{n}_p{s}" for n in ("q_value", "td_error") for s in SHARES}
    assert found.keys() == names | {"values/action_gap"}
    assert not module.q_network.seen.any()


def test_a_single_transition_has_a_gap_and_no_distribution() -> None:
    spec = EnvironmentSpec((), "int64", 2, num_states=6)
    module = DQN(spec, network=Tabular(), compile=False)
    one = Transitions(*(None if c is None else c[:1] for c in table_minibatch()))
    assert value_diagnostics(module, one).keys() == {"values/action_gap"}


def test_targets_beyond_the_atoms_are_told_as_a_share(make_batch: Any) -> None:
    spec = EnvironmentSpec((4,), "float32", 2)
    head = CategoricalHead(num_atoms=3, v_min=-1.0, v_max=1.0)
    module = DQN(spec, network=MLP(hidden=[8]), head=head, compile=False)
    batch = make_batch()
    reward = torch.zeros(16)
    reward[:4] = 100.0  # a quarter of the targets, with all their probability
    found = value_diagnostics(module, batch._replace(reward=reward, discount=reward * 0))
    assert found["values/target_outside_range"].item() == pytest.approx(0.25)
