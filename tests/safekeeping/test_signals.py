"""Signals that end a run."""

import os
import signal
import time

import pytest

from lightning_dqn.safekeeping.signals import Listener, Stopped, heard_before_a_run


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
