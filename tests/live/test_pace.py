"""How often frames are drawn."""

import pytest

from lightning_dqn.live import pace as module
from lightning_dqn.live.pace import FramePace


class Clock:
    """Time that passes when it is told to."""

    def __init__(self):
        self.wall = self.work = self.own = 0.0

    def monotonic(self):
        return self.wall

    def process_time(self):
        return self.work

    def thread_time(self):
        return self.own


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    monkeypatch.setattr(module, "time", found)
    return found


def drawn(clock, cost=0.002):
    pace = FramePace()
    with pace.frame():
        clock.own += cost
        clock.work += cost
    return pace


def test_the_first_frame_is_due_at_once(clock):
    assert FramePace().is_due(is_asked=False)


def test_two_frames_a_second_where_the_process_works(clock):
    pace = drawn(clock)
    clock.wall, clock.work = 0.4, 0.4
    assert not pace.is_due(is_asked=False)
    clock.wall, clock.work = 0.5, 0.5
    assert pace.is_due(is_asked=False)


def test_frames_take_no_more_than_a_share_of_the_work(clock):
    pace = drawn(clock, cost=0.01)
    clock.wall, clock.work = 1.0, 0.9  # 1 % of what was done since would be 0.009
    assert not pace.is_due(is_asked=False)
    clock.work = 1.02
    assert pace.is_due(is_asked=False)


def test_a_process_that_waits_is_drawn_now_and_then(clock):
    pace = drawn(clock)
    clock.wall = 2.0
    assert pace.is_due(is_asked=False)


def test_a_key_is_drawn_soon_and_many_keys_not_each(clock):
    pace = drawn(clock)
    clock.wall = 0.05
    assert not pace.is_due(is_asked=True)
    clock.wall = 0.1
    assert pace.is_due(is_asked=True)
