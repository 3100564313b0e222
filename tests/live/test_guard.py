"""The shell that puts a terminal back where its process can't."""

import os
import pty
import select
import termios

import pytest

from lightning_dqn.live.guard import LEAVE, Guard, modes_of


@pytest.fixture
def sides():
    main, side = pty.openpty()
    yield main, side
    os.close(main)
    os.close(side)


@pytest.fixture
def printed(tmp_path):
    path = tmp_path / "printed"
    path.write_text("told before the end\n")
    with path.open("rb") as file:
        yield file.fileno()


def enter(side):
    modes = termios.tcgetattr(side)
    modes[3] &= ~(termios.ICANON | termios.ECHO)
    termios.tcsetattr(side, termios.TCSANOW, modes)


def test_a_dismissed_guard_does_nothing(sides, printed):
    main, side = sides
    guard = Guard(os.ttyname(side), modes_of(side), printed)
    guard.dismiss()
    assert select.select([main], [], [], 0.1)[0] == []


def test_where_its_process_is_gone_it_puts_the_terminal_back_and_shows_what_was_printed(
    sides, printed
):
    main, side = sides
    before, modes = termios.tcgetattr(side), modes_of(side)
    enter(side)
    guard = Guard(os.ttyname(side), modes, printed)
    guard._shell.stdin.close()  # as the end of a process closes it
    guard._shell.wait(10)
    assert termios.tcgetattr(side) == before
    assert os.read(main, 1000).decode() == f"{LEAVE}told before the end\r\n"


def test_modes_that_somebody_else_has_set_by_then_stay(sides, printed):
    _, side = sides
    modes = modes_of(side)
    enter(side)
    guard = Guard(os.ttyname(side), modes, printed)
    others = termios.tcgetattr(side)
    others[0] &= ~termios.ICRNL
    termios.tcsetattr(side, termios.TCSANOW, others)
    guard._shell.stdin.close()
    guard._shell.wait(10)
    assert termios.tcgetattr(side) == others
