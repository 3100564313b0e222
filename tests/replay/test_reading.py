"""What is read out of rows: on the picture of ``reading.py``, and through a ring of scripts."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from support.scripted_env import episodes, spec_of
from support.scripted_rings import ring_of, transition_from
from torch import Tensor

from lightning_dqn.replay.reading import Cells, Reading, check_discount, follow_chain, stacked_cells
from lightning_dqn.replay.ring import ReplayBuffer
from lightning_dqn.replay.storage import ReplayConfig
from lightning_dqn.schedules import ConstantSchedule, LinearSchedule, RestartedSchedule
from lightning_dqn.transitions import NO_ACTION

TIMES = 8
TURNS = range(TIMES)
"""How far the picture is turned in its ring: at 0 the oldest row is at time 0, the newest at 7."""


class Picture:
    """The picture of ``reading.py`` with the rows before it, beside another environment.

    time            0    1    2    3    4    5    6    7
    row            o a  o a  o -  o a  o a  o -  o a  o a
    reward          1    2    0    4    8    0   16   32
    ended                ^              ^

    The other environment's episodes end one time earlier and its rewards are -1, so that a reader
    of the wrong environment is found out.

    Args:
        turn: times that the rows lie later in the ring, whose end they may cross.
        terminated: the episodes ended by termination.
        truncated: by truncation; both may be at once.
    """

    def __init__(self, turn: int = 0, *, terminated: bool = True, truncated: bool = False) -> None:
        self.turn = turn
        final = torch.tensor([[2, 5], [1, 4]])
        action = torch.zeros(TIMES, 2, dtype=torch.int64)
        reward = torch.tensor([[1.0, 2, 0, 4, 8, 0, 16, 32], [-1.0] * TIMES]).T.contiguous()
        ended = torch.zeros(TIMES, 2, dtype=torch.bool)
        for env in (0, 1):
            action[final[env], env] = NO_ACTION
            reward[final[env], env] = 0.0
            ended[final[env] - 1, env] = True
        columns = {
            "action": action,
            "reward": reward,
            "terminated": ended & terminated,
            "truncated": ended & truncated,
        }
        turned = {name: column.roll(turn, 0).flatten() for name, column in columns.items()}
        self.ring = Cells(turned, 2, newest=(7 + turn) % TIMES, oldest=turn % TIMES)

    def cells(self, *times: int, env: int = 0) -> Tensor:
        """Return the cells of these times of the picture, int64[M]."""
        return (torch.tensor(times) + self.turn) % TIMES * 2 + env

    def chains(
        self, *times: int, gamma: float = 0.5, longest: int, length: int | Tensor | None = None
    ) -> list[tuple[float, float, int]]:
        """Return reward, discount and the picture's last time of the chains from these times."""
        length = longest if length is None else length
        chain = follow_chain(self.ring, self.cells(*times), gamma, longest, length)
        assert (chain.reward.dtype, chain.discount.dtype) == (torch.float32, torch.float32)
        assert (chain.last % 2 == 0).all(), "of the other environment"
        last = (self.ring.time(chain.last) - self.turn) % TIMES
        columns = (chain.reward.tolist(), chain.discount.tolist(), last.tolist())
        return list(zip(*columns, strict=True))

    def stacks(self, *times: int, num_frames: int = 3, env: int = 0) -> list[list[int]]:
        """Return the picture's times of the stacks at these times."""
        cells = stacked_cells(self.ring, self.cells(*times, env=env), num_frames)
        assert (cells % 2 == env).all(), "of the other environment"
        return ((self.ring.time(cells) - self.turn) % TIMES).tolist()


# The picture


@pytest.mark.parametrize("turn", TURNS)
def test_a_chain_of_one_step_goes_to_the_next_row(turn):
    picture = Picture(turn)
    assert picture.chains(0, 3, 6, longest=1) == [(1, 0.5, 1), (4, 0.5, 4), (16, 0.5, 7)]


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize(
    ("terminated", "truncated", "discount"),
    [(True, False, 0.0), (False, True, 0.25), (True, True, 0.0)],
)
def test_the_chain_of_two_steps_from_3_bootstraps_from_row_5_unless_time_4_was_a_termination(
    turn, terminated, truncated, discount
):
    picture = Picture(turn, terminated=terminated, truncated=truncated)
    assert picture.chains(3, longest=2) == [(4 + 0.5 * 8, discount, 5)]


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize(("terminated", "discount"), [(True, 0.0), (False, 0.5)])
def test_the_action_that_ends_an_episode_is_the_last_of_a_chain_of_any_length(
    turn, terminated, discount
):
    picture = Picture(turn, terminated=terminated, truncated=not terminated)
    for longest in range(1, 6):
        assert picture.chains(4, longest=longest) == [(8, discount, 5)]
    for longest in range(2, 6):
        assert picture.chains(3, longest=longest) == [(4 + 0.5 * 8, 0.5 * discount, 5)]


@pytest.mark.parametrize("turn", TURNS)
def test_a_chain_never_reaches_beyond_the_newest_row(turn):
    """The newest row's action has no known outcome, and the oldest row is its neighbour."""
    picture = Picture(turn)
    for longest in range(1, 6):
        assert picture.chains(6, longest=longest) == [(16, 0.5, 7)]


@pytest.mark.parametrize("turn", TURNS)
def test_each_chain_has_a_length_of_its_own(turn):
    picture = Picture(turn, terminated=False, truncated=True)
    length = torch.tensor([1, 2, 1, 3])
    assert picture.chains(0, 0, 3, 3, longest=3, length=length) == [
        (1, 0.5, 1),
        (1 + 0.5 * 2, 0.25, 2),
        (4, 0.5, 4),
        (4 + 0.5 * 8, 0.25, 5),
    ]


def test_a_negative_discount_changes_the_sign_of_every_second_reward():
    picture = Picture(terminated=False, truncated=True)
    assert picture.chains(0, 3, gamma=-1.0, longest=2) == [(1 - 2, 1.0, 2), (4 - 8, 1.0, 5)]


@pytest.mark.parametrize("turn", TURNS)
def test_stacks_of_three_frames_at_4_and_7_never_go_across_a_start(turn):
    assert Picture(turn).stacks(4, 7) == [[3, 3, 4], [6, 6, 7]]


@pytest.mark.parametrize("turn", TURNS)
def test_the_stack_of_a_final_observation_holds_its_own_episode(turn):
    assert Picture(turn).stacks(2, 5) == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("turn", TURNS)
def test_the_stack_of_the_oldest_row_does_not_go_on_with_the_newest(turn):
    assert Picture(turn).stacks(0, 1) == [[0, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize("turn", TURNS)
def test_another_environments_starts_are_no_concern_of_a_stack(turn):
    assert Picture(turn).stacks(3, 6, 7, env=1) == [[2, 2, 3], [5, 5, 6], [5, 6, 7]]


@pytest.mark.parametrize("turn", TURNS)
def test_a_stack_begins_anew_after_a_lost_life(turn):
    picture = Picture(turn)
    lost = torch.zeros(TIMES * 2, dtype=torch.bool)
    lost[picture.cells(3, 6)] = True
    lost[picture.cells(2, env=1)] = True
    picture.ring.columns["life_lost"] = lost  # type: ignore[index]
    assert picture.stacks(3, 4, 5, 7) == [[3, 3, 3], [4, 4, 4], [4, 4, 5], [7, 7, 7]]


def test_a_stack_of_one_frame_is_the_row_itself():
    assert Picture(3).stacks(0, 4, 7, num_frames=1) == [[0], [4], [7]]


# The ends of episodes, through a ring


def test_the_final_observation_is_bootstrapped_from():
    ring = ring_of([episodes(2, terminated=False, truncated=True)], 8)
    assert transition_from(ring, 0, 0, 1).next_observation.tolist() == [0, 0, 2]


def test_termination_ends_the_value():
    ring = ring_of([episodes(2)], 8, gamma=0.9)
    assert transition_from(ring, 0, 0, 0).discount == pytest.approx(0.9)
    assert transition_from(ring, 0, 0, 1).discount == 0.0


def test_truncation_keeps_the_bootstrap():
    ring = ring_of([episodes(2, terminated=False, truncated=True)], 8, gamma=0.9)
    assert transition_from(ring, 0, 0, 1).discount == pytest.approx(0.9)


def test_terminated_and_truncated_on_one_step_is_terminated():
    ring = ring_of([episodes(2, truncated=True)], 8, gamma=0.9)
    last = transition_from(ring, 0, 0, 1)
    assert last.discount == 0.0
    assert last.next_observation.tolist() == [0, 0, 2]


def test_an_episode_of_one_step_ends_where_it_begins():
    ring = ring_of([episodes(1, terminated=False, truncated=True)], 6, n_step=3, gamma=0.5)
    only = transition_from(ring, 0, 0, 0)
    assert (only.reward.item(), only.discount.item()) == (1.0, 0.5)
    assert only.next_observation.tolist() == [0, 0, 1]


# Chains of n steps, through a ring


def test_a_chain_adds_discounted_rewards_and_bootstraps_n_steps_on():
    ring = ring_of([episodes(6)], 12, n_step=3, gamma=0.5)
    first = transition_from(ring, 0, 0, 0)
    assert first.reward.item() == 1 + 0.5 * 2 + 0.25 * 3
    assert first.discount.item() == 0.125
    assert first.next_observation.tolist() == [0, 0, 3]


@pytest.mark.parametrize(("terminated", "discount"), [(True, 0.0), (False, 0.25)])
def test_a_chain_stops_at_the_end_of_its_episode(terminated, discount):
    script = episodes(4, terminated=terminated, truncated=not terminated)
    ring = ring_of([script], 12, n_step=3, gamma=0.5)
    late = transition_from(ring, 0, 0, 2)
    assert late.reward.item() == 3 + 0.5 * 4
    assert late.discount.item() == discount
    assert late.next_observation.tolist() == [0, 0, 4]


def test_a_chain_stops_at_the_newest_row_and_loses_no_start():
    ring = ring_of([episodes(100)], 13, keeps=6, n_step=3, gamma=0.5)
    newest_start = transition_from(ring, 0, 0, 11)
    assert newest_start.reward.item() == 12
    assert newest_start.discount.item() == 0.5
    assert newest_start.next_observation.tolist() == [0, 0, 12]
    before = transition_from(ring, 0, 0, 10)
    assert before.reward.item() == 11 + 0.5 * 12
    assert before.next_observation.tolist() == [0, 0, 12]
    assert ring.num_starts == 5


def test_a_chain_in_a_zero_sum_game_changes_its_sign_each_step():
    ring = ring_of([episodes(6)], 12, n_step=3, gamma=-1)
    first = transition_from(ring, 0, 0, 0)
    assert (first.reward.item(), first.discount.item()) == (1 - 2 + 3, -1.0)


# Stacks, through a ring


def test_a_stack_repeats_the_first_frame_and_never_crosses_a_reset():
    ring = ring_of([episodes(4)], 12, spec=spec_of(frame_stack=3))
    first, third = transition_from(ring, 0, 1, 0), transition_from(ring, 0, 1, 2)
    assert first.observation.tolist() == [[0, 1, 0]] * 3
    assert first.next_observation.tolist() == [[0, 1, 0], [0, 1, 0], [0, 1, 1]]
    assert third.observation.tolist() == [[0, 1, 0], [0, 1, 1], [0, 1, 2]]


def test_the_stack_of_a_final_observation_ends_with_it():
    ring = ring_of([episodes(4)], 12, spec=spec_of(frame_stack=3))
    last = transition_from(ring, 0, 0, 3)
    assert last.next_observation.tolist() == [[0, 0, 2], [0, 0, 3], [0, 0, 4]]


# Settings


@pytest.mark.parametrize("kind", [Reading, ReplayConfig])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("reward_clip", 0.0),
        ("reward_clip", float("inf")),
        ("reward_clip", float("nan")),
        ("gamma", 1.01),
        ("gamma", -1.01),
        ("gamma", 1.5),
        ("gamma", float("nan")),
        ("gamma", ConstantSchedule(1.5)),
        ("n_step", 0),
        ("n_step", 1.5),
        ("n_step", [3, 1]),
        ("n_step", [0, 2]),
        ("n_step", [3]),
        ("n_step", [1, 2, 3]),
        ("n_step", [1, 2.5]),
        ("n_step", ConstantSchedule(0.4)),
        ("n_step", float("nan")),
    ],
)
def test_a_setting_that_means_nothing_is_refused_by_name(kind, key, value):
    with pytest.raises(ValueError, match=rf"^{key}(\.value)?="):
        kind(**{key: value})


@pytest.mark.parametrize("gamma", [-1, -0.5, 0, 0.99, 1])
def test_a_fixed_gamma_is_the_same_number_after_any_env_steps(gamma):
    for env_steps in (0, 10**6):
        found = Reading(gamma=gamma).gamma_at(env_steps)
        assert (found, type(found)) == (gamma, float)


@pytest.mark.parametrize(
    ("key", "schedule", "message"),
    [
        ("gamma", LinearSchedule(0.9, 1.1, 100), r"^gamma\.end=1\.1: must lie between -1 and 1$"),
        ("gamma", LinearSchedule(-2, 0.9, 100), r"^gamma\.start=-2: must lie between -1 and 1$"),
        ("n_step", LinearSchedule(5, 0, 100), r"^n_step\.end=0: at least 1$"),
        (
            "n_step",
            RestartedSchedule(LinearSchedule(5, 0, 100), 50),
            r"^n_step\.schedule\.end=0: at least 1$",
        ),
    ],
)
def test_a_schedule_that_would_leave_its_bounds_is_refused_at_once(key, schedule, message):
    with pytest.raises(ValueError, match=message):
        Reading(**{key: schedule})


def test_a_length_may_end_at_what_is_rounded_to_1():
    assert Reading(n_step=LinearSchedule(5, 0.6, 100)).n_step_at(100) == (1, 1)


def test_a_gamma_that_a_function_gives_is_refused_where_it_leaves_its_bounds():
    reading = Reading(gamma=lambda env_steps: 0.5 + env_steps / 100)
    assert reading.gamma_at(50) == 1.0
    with pytest.raises(ValueError, match=r"gamma=1\.25: must lie between -1 and 1"):
        reading.gamma_at(75)


@pytest.mark.parametrize(
    ("n_step", "bounds"),
    [
        (1, (1, 1)),
        (4, (4, 4)),
        ([2, 5], (2, 5)),
        ((3, 3), (3, 3)),
        (LinearSchedule(5, 1, 100), (3, 3)),
    ],
)
def test_a_length_is_the_range_from_its_shortest_to_its_longest(n_step, bounds):
    """The schedule has 5 - 0.6 * 4 = 2.6, which is rounded."""
    assert Reading(n_step=n_step).n_step_at(60) == bounds


def test_a_length_that_a_function_gives_is_refused_where_it_falls_below_1():
    reading = Reading(n_step=lambda env_steps: 2 - env_steps / 50)
    assert reading.n_step_at(50) == (1, 1)
    with pytest.raises(ValueError, match="n_step=0: at least 1"):
        reading.n_step_at(100)


# The sign of the discount


ZERO_SUM = replace(spec_of(), zero_sum_turns=True)


@pytest.mark.parametrize(
    ("gamma", "name", "value"),
    [
        (0.9, "gamma", 0.9),
        (1.0, "gamma", 1.0),
        (LinearSchedule(0.9, 1.0, 10), "gamma.start", 0.9),
        (LinearSchedule(-0.9, 1.0, 10), "gamma.end", 1.0),
        (lambda env_steps: 0.5, "gamma", 0.5),
    ],
)
def test_a_discount_that_adds_the_opponents_value_is_refused_with_the_right_one(gamma, name, value):
    match = rf"{name}={value}: .* set {name}=-{value}"
    with pytest.raises(ValueError, match=match):
        check_discount(ZERO_SUM, Reading(gamma=gamma))
    with pytest.raises(ValueError, match=match):
        ReplayBuffer(ZERO_SUM, 1, ReplayConfig(10, gamma=gamma))


@pytest.mark.parametrize("gamma", [-1, -0.9, 0.0])
def test_a_discount_that_subtracts_or_ignores_the_opponents_value_is_taken(gamma):
    check_discount(ZERO_SUM, Reading(gamma=gamma))


@pytest.mark.parametrize("gamma", [0, 0.0, 0.9, 1, LinearSchedule(0.9, 1.0, 10)])
def test_a_discount_that_adds_the_learners_own_value_is_taken(gamma):
    check_discount(spec_of(), Reading(gamma=gamma))


@pytest.mark.parametrize(
    ("gamma", "name", "right"),
    [(-0.9, "gamma", 0.9), (LinearSchedule(0.9, -1.0, 10), "gamma.end", 1.0)],
)
def test_a_discount_that_subtracts_the_learners_own_value_is_refused(gamma, name, right):
    """As where self-play's is kept and an opponent moves within the step."""
    match = rf"^{name}=-{right}: .* the learner's own, .* set {name}={right}\. .*zero_sum_turns"
    with pytest.raises(ValueError, match=match):
        check_discount(spec_of(), Reading(gamma=gamma))
    ReplayBuffer(spec_of(), 1, ReplayConfig(10, gamma=gamma))
