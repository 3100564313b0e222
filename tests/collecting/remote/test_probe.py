"""Whether Ray itself is alive: asked in a thread, late answers and failures told once they are."""

import threading
import time

import pytest

from lightning_dqn.collecting.remote.probe import Probe


def wait_for_fault(probe: Probe, seconds: float = 5.0) -> str:
    until = time.monotonic() + seconds
    while probe.fault is None and time.monotonic() < until:
        time.sleep(0.01)
    return str(probe.fault)


def test_while_it_answers_there_is_no_fault():
    asked = []
    probe = Probe(lambda: asked.append(1), period=0.01, patience=5)
    until = time.monotonic() + 5
    while len(asked) < 3 and time.monotonic() < until:
        time.sleep(0.01)
    assert len(asked) >= 3
    assert probe.fault is None
    probe.close()


def test_an_answer_that_does_not_come_is_a_fault():
    hangs = threading.Event()
    probe = Probe(hangs.wait, period=0.01, patience=0.1)
    assert "control service hasn't answered" in wait_for_fault(probe)
    hangs.set()
    probe.close()


def test_a_failing_question_is_a_fault():
    def fail() -> None:
        raise ConnectionError

    probe = Probe(fail, period=0.01, patience=5)
    assert "control service fails (ConnectionError)" in wait_for_fault(probe)
    probe.close()


@pytest.mark.parametrize("repeated", [1, 2])
def test_closed_it_asks_no_more(repeated):
    asked = []
    probe = Probe(lambda: asked.append(1), period=0.05, patience=5)
    for _ in range(repeated):
        probe.close()
    before = len(asked)
    time.sleep(0.2)
    assert len(asked) == before
