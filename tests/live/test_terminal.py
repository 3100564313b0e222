"""The terminal's modes and output, on a pseudo-terminal."""

import os
import pty
import select
import termios
import time

import pytest

from lightning_dqn.live import terminal as module
from lightning_dqn.live.terminal import Terminal


@pytest.fixture
def pair(monkeypatch):
    """The main end of a pseudo-terminal and a Terminal on the other, in the foreground."""
    monkeypatch.setattr(module, "is_foreground", lambda number: True)
    main, side = pty.openpty()
    terminal = Terminal(os.ttyname(side))
    yield main, terminal, side
    terminal.close()
    os.close(main)
    os.close(side)


def drain(main):
    """Return all that was sent by now."""
    received = b""
    while select.select([main], [], [], 0.1)[0]:
        received += os.read(main, 65_536)
    return received


def test_keys_come_one_by_one_and_unseen_and_all_is_put_back(pair):
    main, terminal, side = pair
    before = termios.tcgetattr(side)
    terminal.enter()
    os.write(main, b"s")
    time.sleep(0.05)
    assert terminal.read() == b"s"
    sent = drain(main)
    assert sent.startswith(b"\x1b[?1049h")
    assert b"s" not in sent.replace(b"\x1b", b"")
    terminal.leave()
    assert termios.tcgetattr(side) == before
    assert drain(main).endswith(b"\x1b[?25h\x1b[?1049l")


def test_keys_that_send_signals_go_on_doing_so(pair):
    _, terminal, side = pair
    terminal.enter()
    assert termios.tcgetattr(side)[3] & termios.ISIG


def test_a_terminal_has_one_dashboard(pair):
    _, _, side = pair
    with pytest.raises(OSError):
        Terminal(os.ttyname(side))


def test_only_lines_that_changed_are_sent(pair):
    main, terminal, _ = pair
    terminal.enter()
    terminal.show(["one", "two"])
    drain(main)
    terminal.show(["one", "2"])
    assert drain(main) == b"\x1b[2;1H2"


def test_output_that_nobody_reads_makes_nobody_wait(pair):
    _, terminal, _ = pair
    terminal.enter()
    began = time.monotonic()
    for number in range(100):
        terminal.show([str(number) * 1000] * 60)
    assert time.monotonic() - began < 1
    assert not terminal.is_ready


def test_a_terminal_that_takes_nothing_is_left_in_bounded_time(pair, monkeypatch):
    monkeypatch.setattr(module, "_SECONDS_TO_LEAVE", 0.2)
    _, terminal, side = pair
    before = termios.tcgetattr(side)
    terminal.enter()
    for number in range(100):
        terminal.show([str(number) * 1000] * 60)
    began = time.monotonic()
    terminal.leave()
    assert time.monotonic() - began < 2
    assert termios.tcgetattr(side) == before


def test_slow_output_gets_whole_frames_and_the_newest_at_last(pair):
    main, terminal, _ = pair
    terminal.enter()
    received = b""
    for number in range(50):
        terminal.show([f"{number:03}" * 500] * 60)
        received += os.read(main, 500)
        terminal.flush()
    while not terminal.is_ready:
        received += os.read(main, 65_536)
        terminal.flush()
    terminal.show(["the last"] * 60)
    while select.select([main], [], [], 0.2)[0]:
        received += os.read(main, 65_536)
        terminal.flush()
    assert received.endswith(b"\x1b[60;1Hthe last")
    assert received.count(b"\x1b[1;1H") < 50
