"""Targets against numbers worked out by hand: greedy, double, Munchausen's."""

from __future__ import annotations

import json
import math

import pytest
import torch
from support.two_transitions import two_transitions
from torch import Tensor, nn

from lightning_dqn.learning.targets import Munchausen, Target
from lightning_dqn.networks.heads.categorical import CategoricalHead
from lightning_dqn.networks.heads.head import Head
from lightning_dqn.networks.heads.quantile import QuantileHead
from lightning_dqn.networks.heads.scalar import ScalarHead
from lightning_dqn.transitions import Transitions

# --- Munchausen

# At temperature 0.5 the policy is 1/8, 2/8, 5/8.
Q_VALUES = 0.5 * torch.tensor([[1.0, 2.0, 5.0]]).log()


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (0, 0.9 * -1.0),  # 0.5 * ln(1/8) = -1.0397 is held at -1
        (1, 0.9 * 0.5 * math.log(2 / 8)),
        (2, 0.9 * 0.5 * math.log(5 / 8)),
    ],
)
def test_the_bonus_by_hand(action: int, expected: float) -> None:
    bonus = Munchausen(alpha=0.9, temperature=0.5).reward_bonus(
        Q_VALUES, torch.tensor([action]), None
    )
    torch.testing.assert_close(bonus, torch.tensor([expected]))


def test_the_bonus_counts_the_legal_actions_alone() -> None:
    mask = torch.tensor([[True, True, False]])
    bonus = Munchausen(alpha=1.0, temperature=0.5).reward_bonus(Q_VALUES, torch.tensor([0]), mask)
    torch.testing.assert_close(bonus, torch.tensor([0.5 * math.log(1 / 3)]))


def test_the_only_legal_action_earns_no_bonus() -> None:
    mask = torch.tensor([[False, True, False]])
    bonus = Munchausen(temperature=0.5).reward_bonus(Q_VALUES, torch.tensor([1]), mask)
    assert bonus.tolist() == [0.0]


@pytest.mark.parametrize("lower_bound", [0.0, -0.25, -3.0])
def test_the_bonus_is_never_below_its_bound(lower_bound: float) -> None:
    bonus = Munchausen(0.5, 0.5, lower_bound).reward_bonus(
        torch.tensor([[-1e6, 0.0]]), torch.tensor([0]), None
    )
    torch.testing.assert_close(bonus, torch.tensor([0.5 * lower_bound]))


def test_alpha_0_is_soft_q_learning_without_a_bonus() -> None:
    bonus = Munchausen(alpha=0.0).reward_bonus(Q_VALUES, torch.tensor([0]), None)
    assert bonus.tolist() == [0.0]


def test_the_entropy_bonus_by_hand() -> None:
    policy, entropy_bonus = Munchausen(temperature=0.5).soft_next(Q_VALUES, None)
    shares = [1 / 8, 2 / 8, 5 / 8]
    torch.testing.assert_close(policy, torch.tensor([shares]))
    expected = -0.5 * sum(share * math.log(share) for share in shares)
    torch.testing.assert_close(entropy_bonus, torch.tensor([expected]))


def test_the_entropy_counts_the_legal_actions_alone() -> None:
    mask = torch.tensor([[True, True, False], [False, False, True], [False, False, False]])
    _, entropy_bonus = Munchausen(temperature=0.5).soft_next(Q_VALUES.expand(3, 3), mask)
    two = -0.5 * (math.log(1 / 3) / 3 + 2 * math.log(2 / 3) / 3)
    all_of_them = -0.5 * sum(share * math.log(share) for share in (1 / 8, 2 / 8, 5 / 8))
    torch.testing.assert_close(entropy_bonus, torch.tensor([two, 0.0, all_of_them]))


def test_the_soft_value_is_the_scaled_log_of_the_sum_of_exponentials() -> None:
    q_values = torch.randn(5, 4)
    policy, entropy_bonus = Munchausen(temperature=0.3).soft_next(q_values, None)
    value = (policy * q_values).sum(dim=1) + entropy_bonus
    torch.testing.assert_close(value, 0.3 * (q_values / 0.3).logsumexp(dim=1))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"alpha": -0.1}, "alpha=-0.1: between 0 and 1"),
        ({"alpha": 1.1}, "alpha=1.1: between 0 and 1"),
        ({"temperature": 0.0}, "temperature=0.0: must be above 0"),
        ({"lower_bound": 0.5}, "lower_bound=0.5: at most 0"),
    ],
)
def test_settings_without_meaning_are_refused(arguments: dict[str, float], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Munchausen(**arguments)


# --- who values the next state


class Linear(nn.Linear):
    """Values (first * s0, second * s1) of an observation (s0, s1); counts what it is asked."""

    def __init__(self, first: float, second: float) -> None:
        super().__init__(2, 2, bias=False)
        self.asked: list[Tensor] = []
        with torch.no_grad():
            self.weight.copy_(torch.tensor([[first, 0.0], [0.0, second]]))

    def forward(self, observation: Tensor) -> Tensor:
        self.asked.append(observation)
        return super().forward(observation)


def judged(target: Target, batch: Transitions, **networks: nn.Module) -> tuple[Tensor, Tensor]:
    """Return reward and bootstrap, without a gradient as the learner asks for them."""
    online = networks.get("online", Linear(1, 2))
    slow = networks.get("slow", Linear(3, 1))
    with torch.no_grad():
        output = online(batch.observation)
        return target(batch, output, online=online, slow=slow, head=ScalarHead())


ONLY_FIRST = torch.tensor([[True, False], [True, True]])
ONLY_SECOND = torch.tensor([[False, True], [True, True]])


@pytest.mark.parametrize(
    ("double", "next_action_mask", "expected"),
    [
        (False, None, [3.0, 6.0]),
        (False, ONLY_SECOND, [1.0, 6.0]),
        # the online network prefers the second action at first, which the slow one values at 1
        (True, None, [1.0, 6.0]),
        (True, ONLY_FIRST, [3.0, 6.0]),
    ],
)
def test_the_greedy_targets_by_hand(
    double: bool, next_action_mask: Tensor | None, expected: list[float]
) -> None:
    batch = two_transitions(next_action_mask=next_action_mask)
    reward, bootstrap = judged(Target(double=double), batch)
    assert bootstrap.tolist() == expected
    assert reward.tolist() == [1.0, -1.0], "nothing is added"


def test_without_a_slow_copy_the_online_network_values_what_it_chooses() -> None:
    online = Linear(1, 2)
    target = Target(double=False, slow_copy=False)
    _, bootstrap = judged(target, two_transitions(), online=online, slow=online)
    assert bootstrap.tolist() == [2.0, 2.0]


@pytest.mark.parametrize("munchausen", [None, Munchausen()])
def test_the_online_network_is_asked_of_the_next_state_with_double_alone(
    munchausen: Munchausen | None,
) -> None:
    batch = two_transitions()
    for double in (False, True):
        online, slow = Linear(1, 2), Linear(3, 1)
        judged(Target(double=double, munchausen=munchausen), batch, online=online, slow=slow)
        of_next = [batch.next_observation] if double else []
        of_this = [] if munchausen is None else [batch.observation]
        assert [id(o) for o in online.asked[1:]] == [id(o) for o in of_next]
        assert [id(o) for o in slow.asked] == [id(batch.next_observation), *map(id, of_this)]


@pytest.mark.parametrize("double", [False, True])
def test_a_distributional_bootstrap_is_that_of_the_chosen_action(double: bool) -> None:
    batch = two_transitions()
    # Online means 2.5 and 3, slow means 2 and 1.5, the same for every observation.
    online, slow = (
        lambda o, q=quantiles: torch.tensor(q).expand(len(o), 2, 2)
        for quantiles in ([[1.0, 4.0], [2.0, 4.0]], [[1.0, 3.0], [0.0, 3.0]])
    )
    reward, bootstrap = Target(double=double)(
        batch,
        online(batch.observation),
        online=online,  # type: ignore[arg-type]
        slow=slow,  # type: ignore[arg-type]
        head=QuantileHead(2),
    )
    assert reward.tolist() == [1.0, -1.0]
    assert bootstrap.values.tolist() == [[0.0, 3.0] if double else [1.0, 3.0]] * 2


def test_the_bootstrap_of_atoms_are_probabilities() -> None:
    powers = torch.tensor([[1.0, 3.0], [3.0, 1.0]])

    def network(observation: Tensor) -> Tensor:
        return powers.log().expand(len(observation), 2, 2)

    batch, head = two_transitions(), CategoricalHead(2, -1.0, 1.0)
    output = network(batch.observation)
    _, bootstrap = Target(double=False)(
        batch,
        output,
        online=network,  # type: ignore[arg-type]
        slow=network,  # type: ignore[arg-type]
        head=head,
    )
    torch.testing.assert_close(bootstrap, torch.tensor([[0.25, 0.75]] * 2))


# --- Munchausen's target

TEMPERATURE = 1 / math.log(2)
"""There softmax is 2^q. Slow values are (3, 2), (6, 1) here and (3, 1), (6, 0) next."""


def test_munchausens_target_by_hand() -> None:
    munchausen = Munchausen(alpha=0.5, temperature=TEMPERATURE, lower_bound=-2.0)
    batch = two_transitions()
    reward, bootstrap = judged(Target(double=False, munchausen=munchausen), batch)
    # pi(a|s) = 8/12 and 2/66; temperature * log of them is log2 of them, the second held at -2
    bonus = (0.5 * math.log2(8 / 12), 0.5 * -2.0)
    # soft values: log2 of the sum of powers, 8 + 2 and 64 + 1
    target = (1 + bonus[0] + 0.5 * math.log2(10), -1 + bonus[1] + 0.9 * math.log2(65))
    torch.testing.assert_close(reward + batch.discount * bootstrap, torch.tensor(target))
    # the policy's mean of the next values: (3 * 8 + 1 * 2) / 10 and (6 * 64 + 0 * 1) / 65
    torch.testing.assert_close(bootstrap, torch.tensor([2.6, 384 / 65]))


def test_munchausens_next_policy_is_the_online_networks_with_double() -> None:
    munchausen = Munchausen(alpha=0.0, temperature=TEMPERATURE)
    batch = two_transitions()
    reward, bootstrap = judged(Target(double=True, munchausen=munchausen), batch)
    # online powers of (1, 2) are 2 and 4, of (2, 0) 4 and 1; the slow values (3, 1), (6, 0)
    entropies = (
        -(math.log2(2 / 6) * 2 + math.log2(4 / 6) * 4) / 6,
        -(math.log2(4 / 5) * 4 + math.log2(1 / 5) * 1) / 5,
    )
    values = (3 * 2 / 6 + 1 * 4 / 6 + entropies[0], 6 * 4 / 5 + entropies[1])
    expected = torch.tensor([1 + 0.5 * values[0], -1 + 0.9 * values[1]])
    torch.testing.assert_close(reward + batch.discount * bootstrap, expected)


def test_munchausen_counts_the_legal_actions_alone_here_and_next() -> None:
    munchausen = Munchausen(alpha=0.5, temperature=TEMPERATURE, lower_bound=-9.0)
    batch = two_transitions(action_mask=ONLY_FIRST, next_action_mask=ONLY_SECOND)
    reward, bootstrap = judged(Target(double=False, munchausen=munchausen), batch)
    # The first transition's actions are without a choice: no bonus, no entropy, the value 1.
    assert reward[0].item() == 1.0
    assert bootstrap[0].item() == 1.0
    # The second's are as free as without a mask.
    free, _ = judged(Target(double=False, munchausen=munchausen), two_transitions())
    assert reward[1].item() == free[1].item()


# --- rewards that are whole targets


@pytest.mark.parametrize("head", [ScalarHead(), CategoricalHead(2, -1.0, 1.0)], ids=str)
@pytest.mark.parametrize("target", [Target(), Target(double=False, slow_copy=False)], ids=str)
def test_a_whole_target_asks_no_network(head: Head, target: Target) -> None:
    def refuse(observation: Tensor) -> Tensor:
        raise AssertionError("asked")

    whole = two_transitions(next_observation=None, discount=torch.zeros(2))
    size = (2, 2) if isinstance(head, ScalarHead) else (2, 2, 2)
    output = torch.randn(size, generator=torch.Generator().manual_seed(0))
    reward, bootstrap = target(
        whole,
        output,
        online=refuse,  # type: ignore[arg-type]
        slow=refuse,  # type: ignore[arg-type]
        head=head,
    )
    assert reward.tolist() == [1.0, -1.0]
    # multiplied with a discount of 0: anything finite of the right shape
    expected = head.select(head.distribution(output), whole.action)
    assert torch.equal(bootstrap, expected)


@pytest.mark.parametrize("slow_copy", [False, True])
def test_lambda_returns_and_munchausen_are_refused_together(slow_copy: bool) -> None:
    target = Target(double=False, slow_copy=slow_copy, munchausen=Munchausen())
    whole = two_transitions(next_observation=None, discount=torch.zeros(2))
    with pytest.raises(ValueError, match="munchausen: lambda-returns hold the greedy value"):
        judged(target, whole)


# --- ways to give a target


def test_double_without_a_slow_copy_is_refused() -> None:
    message = r"double=True: without a target network.*double=False"
    with pytest.raises(ValueError, match=message):
        Target(slow_copy=False)
    with pytest.raises(ValueError, match=message):
        Target.of({"slow_copy": False})


@pytest.mark.parametrize(
    "target",
    [
        Target(),
        Target(double=False, slow_copy=False),
        Target(double=False, munchausen=Munchausen(0.5, 0.1, -0.5)),
    ],
    ids=str,
)
def test_a_target_comes_back_from_plain_values(target: Target) -> None:
    assert Target.of(json.loads(json.dumps(target.to_plain()))) == target


def test_a_target_is_taken_as_it_is_in_parts_or_as_the_default() -> None:
    target = Target(double=False)
    assert Target.of(target) is target
    assert Target.of(None) == Target(double=True, slow_copy=True, munchausen=None)
    assert Target.of({"double": False}) == target
    munchausen = Munchausen(alpha=0.5)
    assert Target.of({"munchausen": {"alpha": 0.5}}) == Target(munchausen=munchausen)
    assert Target.of({"munchausen": munchausen}).munchausen is munchausen


def test_settings_of_munchausen_are_checked_as_plain_values_too() -> None:
    with pytest.raises(ValueError, match="alpha=2: between 0 and 1"):
        Target.of({"munchausen": {"alpha": 2}})
