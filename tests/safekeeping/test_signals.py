"""Signals that end a run."""

import signal

import pytest

from lightning_dqn.safekeeping.signals import Listener, Stopped


def test_who_asks_is_heard_as_ctrl_c_and_the_next_signal_ends_at_once():
    listener = Listener()
    listener.ask()
    assert listener.number == signal.SIGINT
    with pytest.raises(Stopped):
        listener._hear(signal.SIGINT, None)
