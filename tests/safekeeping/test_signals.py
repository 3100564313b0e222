"""Signals that end a run."""

import ctypes
import os
import signal
import subprocess
import sys
import time

import pytest

from lightning_dqn.safekeeping import signals
from lightning_dqn.safekeeping.signals import AtOnce, Listener, Stopped, heard_before_a_run
from lightning_dqn.system import processes
from lightning_dqn.system.processes import hear_of_parents_end


def test_who_asks_is_heard_as_ctrl_c_and_the_next_signal_ends_at_once():
    listener = Listener()
    listener.ask()
    assert listener.number == signal.SIGINT
    with pytest.raises(Stopped):
        listener._hear(signal.SIGINT, None)


def test_before_a_run_sigterm_is_heard_where_nobody_else_hears_it():
    with pytest.raises(Stopped) as stopped:
        _end_while_parts_are_made()
    assert stopped.value.exit_status == 143
    assert stopped.value.checkpoint is None
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def _end_while_parts_are_made():
    with heard_before_a_run():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)


class Finalized:
    """Ends with a signal to this process, whose exception Python prints and drops."""

    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_whose_exception_got_lost_before_a_run_ends_it_where_it_begins():
    listener = Listener()
    with heard_before_a_run():
        one = Finalized()
        del one
        with pytest.raises(Stopped, match="SIGTERM"):
            listener.start()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert listener.number is None


def test_a_handler_that_is_there_before_a_run_stays():
    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        with heard_before_a_run():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]


def test_a_signal_that_was_sent_twice_asks_for_no_more_than_one(monkeypatch):
    """As ``timeout`` does, by which a run would end unsaved."""
    monkeypatch.setattr(signals, "TWICE_SECONDS", 60.0)
    listener = Listener()
    for _ in range(3):
        listener._hear(signal.SIGTERM, None)
    assert listener.number == signal.SIGTERM
    with pytest.raises(Stopped, match="SIGINT"):
        listener._hear(signal.SIGINT, None)


def test_a_signal_after_a_while_is_a_second_one():
    listener = Listener()
    listener._hear(signal.SIGTERM, None)
    time.sleep(1.2 * signals.TWICE_SECONDS)
    with pytest.raises(Stopped):
        listener._hear(signal.SIGTERM, None)


def test_what_ends_at_once_does_so_once_for_a_signal_sent_twice(monkeypatch):
    monkeypatch.setattr(signals, "TWICE_SECONDS", 60.0)
    at_once = AtOnce()
    with pytest.raises(Stopped):
        at_once(signal.SIGTERM, None)
    at_once(signal.SIGTERM, None)
    monkeypatch.setattr(signals, "TWICE_SECONDS", 0.0)
    with pytest.raises(Stopped):
        at_once(signal.SIGTERM, None)


def test_a_run_that_something_began_leaves_it_to_that_to_end_it_at_once(monkeypatch):
    """It hears what a scheduler sends to all, and then what the study sends to its runs."""
    monkeypatch.setattr(processes, "_followed", [os.getppid()])
    listener = Listener()
    listener._hear(signal.SIGUSR1, None)
    listener._hear(signal.SIGTERM, None)
    assert listener.number == signal.SIGUSR1
    monkeypatch.setattr(processes, "_followed", [os.getppid() + 1])  # as where it has ended
    with pytest.raises(Stopped, match="SIGTERM"):
        listener._hear(signal.SIGTERM, None)


def test_a_signal_that_a_run_has_heard_is_not_heard_behind_it(monkeypatch):
    monkeypatch.setattr(signals, "TWICE_SECONDS", 60.0)
    listener = Listener()
    with heard_before_a_run():
        at_once = signal.getsignal(signal.SIGTERM)
        listener.start()
        os.kill(os.getpid(), signal.SIGTERM)
        listener.stop()
        assert signal.getsignal(signal.SIGTERM) is at_once
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.02)
    assert listener.number == signal.SIGTERM


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process can't hear of it")
def test_a_parents_end_that_was_heard_of_is_told_no_more():
    """Else the system tells it for the next of the parent's threads, when the run has ended."""

    def asked() -> int:
        number = ctypes.c_int()
        ctypes.CDLL(None).prctl(2, ctypes.byref(number), 0, 0, 0)
        return number.value

    before = asked()
    try:
        hear_of_parents_end(signal.SIGTERM)
        listener = Listener()
        listener._hear(signal.SIGUSR1, None)
        assert asked() == signal.SIGTERM
        with pytest.raises(Stopped):
            listener._hear(signal.SIGTERM, None)
        assert asked() == 0
    finally:
        hear_of_parents_end(before)


CHILD = """
import signal, sys, time
from pathlib import Path
from lightning_dqn.safekeeping.signals import Listener
from lightning_dqn.system.processes import hear_of_parents_end

listener = Listener()
listener.start()
hear_of_parents_end(signal.SIGTERM)
print("ready", flush=True)
until = time.monotonic() + 60
while listener.number is None and time.monotonic() < until:
    time.sleep(0.001)
time.sleep(0.5)
Path(sys.argv[1]).write_text(str(listener._count))
"""

PARENT = """
import subprocess, sys, threading, time

for _ in range(16):
    threading.Thread(target=time.sleep, args=(100,), daemon=True).start()
child = subprocess.Popen([sys.executable, *sys.argv[1:]], stdout=subprocess.PIPE)
child.stdout.readline()
print("ready", flush=True)
time.sleep(100)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process can't hear of it")
def test_the_end_of_a_parent_of_many_threads_is_heard_once(tmp_path):
    """The system tells it for each of them."""
    told = tmp_path / "told"
    told.touch()
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, "-c", CHILD, str(told)], stdout=subprocess.PIPE
    )
    assert parent.stdout.readline() == b"ready\n"
    parent.kill()
    parent.communicate()
    until = time.monotonic() + 60
    while not told.read_text() and time.monotonic() < until:
        time.sleep(0.05)
    assert told.read_text() == "1"
