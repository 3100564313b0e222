"""The dashboard in a real terminal, driven by keys, signals and other sizes."""

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import suppress
from pathlib import Path

import pytest
from support.in_tmux import needs_tmux, tmux

FIT = Path(__file__).resolve().parent.parent / "support" / "live_fit.py"
COMMAND = f"PYTHONPATH={os.environ.get('PYTHONPATH', '')} {sys.executable} -W default {FIT}"

pytestmark = [needs_tmux, pytest.mark.slow]


@pytest.fixture
def terminal(tmp_path):
    with tmux(tmp_path) as opened:
        opened.modes_before = opened.modes()
        yield opened


def begin(terminal, arguments="50", *, before=""):
    terminal.type(f"clear; {before} {COMMAND} {arguments}; echo ended with $?", "Enter")
    terminal.wait_for("phase     training")


def process_of(terminal):
    shell = terminal("display-message", "-p", "-t", "t", "#{pane_pid}").strip()
    children = Path(f"/proc/{shell}/task/{shell}/children").read_text().split()
    return int(children[0])


def check_is_as_it_was(terminal):
    assert not terminal.is_on_other_screen()
    assert terminal.shows_cursor()
    terminal.type("echo still $((40+2))", "Enter")
    terminal.wait_for("still 42")
    # A shell that edits its line has modes of its own; those of a command are what was before.
    until = time.monotonic() + 30
    while terminal.modes() != terminal.modes_before:
        assert time.monotonic() < until, terminal.modes()
        time.sleep(0.1)


def ended(terminal, status):
    screen = terminal.wait_for(f"ended with {status}\n")
    time.sleep(0.2)
    return screen


def test_a_run_ends_with_all_that_was_printed_and_the_last_table(terminal):
    begin(terminal, "1")
    screen = ended(terminal, 0)
    for told in (
        "printed by python", "written by os.write", "UserWarning: a warning in its midst",
        "evaluation return", "fit is over",
    ):  # fmt: skip
        assert screen.count(told) == 1, told
    assert re.search(r"train/loss +\S+ +\S+", screen)
    check_is_as_it_was(terminal)


def test_what_is_learned_is_the_same_bit_for_bit(terminal):
    begin(terminal, "1")
    terminal.type("Right", "Tab", "Down")
    shown = re.search(r"learned (-?\d\S+)", ended(terminal, 0))[1]
    terminal.type(f"clear; {COMMAND} 1 | cat; echo ended with 0", "Enter")
    time.sleep(1)
    unseen = terminal.wait_for(lambda screen: re.search(r"learned (-?\d\S+)", screen))
    assert re.findall(r"learned (-?\d\S+)", unseen)[-1] == shown


def plotted(screen):
    """Return the metric that is plotted; None before one is."""
    found = re.search(r"(\w+/\w+).*\[recent\]", screen)
    return found and found[1]


def test_keys_choose_what_is_shown(terminal):
    begin(terminal)
    terminal.wait_for("[whole]")
    terminal.type("Down")
    terminal.wait_for("[recent]")
    first = plotted(terminal.wait_for(lambda screen: "eval/" in screen and plotted(screen)))
    terminal.type("Right")
    terminal.wait_for(lambda screen: plotted(screen) not in (None, first))
    terminal.type("Tab")
    terminal.wait_for("▸ environment 0")
    terminal.type("Tab")
    terminal.wait_for("▸ log")
    terminal.wait_for("a warning in its midst")
    terminal.type("q")
    terminal.wait_for("Stop the run?")
    terminal.type("c")
    terminal.wait_for(lambda screen: "Stop the run?" not in screen)


def test_stop_saves_and_a_resumed_run_keeps_what_was_changed_by_hand(terminal, tmp_path):
    begin(terminal)
    terminal.type("h", "+")
    terminal.wait_for("changed: learning rate")
    terminal.type("h", "-")
    terminal.wait_for("changed: epsilon")
    terminal.type("s")
    terminal.wait_for("saved by_key_env_step")
    terminal.type("q", "s")
    assert "stopped by SIGINT True" in ended(terminal, 130)
    check_is_as_it_was(terminal)
    assert len(list((tmp_path / "run" / "checkpoints").glob("by_key_*.ckpt"))) == 1
    changed = (tmp_path / "run" / "changed_by_hand.json").read_text()
    assert "learning rate" in changed
    begin(terminal, "50 resume")
    assert "epsilon" in terminal.wait_for("from env step")
    terminal.type("q", "n")
    ended(terminal, 130)
    assert (tmp_path / "run" / "changed_by_hand.json").read_text() == changed


def test_pause_holds_the_run_until_it_is_pressed_again(terminal):
    begin(terminal)
    terminal.type("p")
    terminal.wait_for("phase     paused")
    time.sleep(3)
    steps = re.search(r"env steps ([\d,]+)", terminal.screen())[1]
    time.sleep(1)
    assert re.search(r"env steps ([\d,]+)", terminal.screen())[1] == steps
    terminal.type("p")
    terminal.wait_for("phase     training")
    terminal.wait_for(lambda screen: re.search(r"env steps ([\d,]+)", screen)[1] != steps)


def test_a_paused_run_can_be_stopped(terminal):
    begin(terminal)
    terminal.type("p")
    terminal.wait_for("phase     paused")
    terminal.type("q", "s")
    assert "stopped by SIGINT True" in ended(terminal, 130)


def test_an_evaluation_follows_a_key_in_the_midst_of_an_epoch(terminal):
    begin(terminal)
    terminal.type("e")
    terminal.wait_for("eval/episode_return")
    terminal.type("q", "s")
    screen = ended(terminal, 130)
    assert screen.count("evaluation return") == 1


def fills(screen, width, height):
    """Tell whether a frame of this size is on the screen, which takes as long as it takes."""
    lines = screen.splitlines()
    return len(lines) == height and len(lines[0]) == width and "q quit" in lines[-1]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 50), (211, 67)])
def test_another_size_is_drawn_anew(terminal, width, height):
    begin(terminal)
    terminal.resize(width, height)
    lines = terminal.wait_for(lambda screen: fills(screen, width, height)).splitlines()
    assert lines[0].startswith("┌─ status")
    assert lines[0].endswith("┐")
    assert sum("phase" in line for line in lines) == 1


def test_too_small_a_terminal_is_told_so_and_the_run_goes_on(terminal):
    begin(terminal)
    terminal.resize(60, 20)
    terminal.wait_for("at least 80x24")
    terminal.resize(90, 30)
    terminal.wait_for("phase     training")


def test_a_run_that_fails_leaves_the_terminal_as_it_was(terminal):
    begin(terminal, "50 fails")
    assert "failed in its midst" in ended(terminal, 1)
    check_is_as_it_was(terminal)


def wait_until_left(terminal):
    until = time.monotonic() + 30
    while terminal.is_on_other_screen():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_a_process_that_ends_in_its_midst_leaves_the_terminal_as_it_was(terminal):
    begin(terminal, "50 exits")
    wait_until_left(terminal)
    terminal.wait_for("printed by python")
    check_is_as_it_was(terminal)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP, signal.SIGABRT])
def test_the_terminal_is_left_as_it_was_by_every_signal(terminal, number):
    begin(terminal)
    os.kill(process_of(terminal), number)
    wait_until_left(terminal)
    time.sleep(0.5)
    check_is_as_it_was(terminal)


def test_one_ctrl_c_saves_and_stops(terminal):
    begin(terminal)
    terminal.type("C-c")
    screen = ended(terminal, 130)
    assert "stopping where nothing is lost" in screen
    assert "stopped by SIGINT True" in screen
    check_is_as_it_was(terminal)


def test_ctrl_z_gives_the_terminal_back_and_fg_takes_it_again(terminal):
    begin(terminal)
    terminal.wait_for("printed by python")
    terminal.type("C-z")
    terminal.wait_for("Stopped")
    check_is_as_it_was(terminal)
    terminal.type("fg", "Enter")
    terminal.wait_for("phase     training")
    assert terminal.is_on_other_screen()
    terminal.type("q", "s")
    ended_screen = terminal.wait_for("stopped by SIGINT True")
    assert "printed by python" in ended_screen
    check_is_as_it_was(terminal)


def test_in_the_background_it_leaves_the_terminal_alone(terminal):
    begin(terminal)
    terminal.type("C-z")
    terminal.wait_for("Stopped")
    terminal.type("bg", "Enter")
    time.sleep(1.5)
    assert not terminal.is_on_other_screen()
    terminal.type("echo typed in peace", "Enter")
    terminal.wait_for("\ntyped in peace")
    terminal.type("fg", "Enter")
    terminal.wait_for("phase     training")
    terminal.type("C-c")
    terminal.wait_for("stopped by SIGINT True")


def test_a_terminal_that_nobody_reads_holds_no_training_up(tmp_path):
    reader, terminal = os.openpty()
    os.set_blocking(reader, False)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 35, 120, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in ("CI", "NO_COLOR")}
    fit = subprocess.Popen(
        ["setsid", "--ctty", sys.executable, "-W", "ignore", str(FIT), "50", "exits"],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        cwd=tmp_path,
        env={**kept, "TERM": "xterm"},
    )
    try:
        shown, until = b"", time.monotonic() + 90
        while b"\x1b[?1049h" not in shown:  # from then on nobody reads
            assert time.monotonic() < until, shown
            time.sleep(0.1)
            with suppress(BlockingIOError):
                shown += os.read(reader, 4096)
        assert fit.wait(timeout=90) == 3  # as it does at its 60th update
        assert select.select([], [terminal], [], 0) == ([], [], [])  # it takes nothing any more
    finally:
        fit.kill()
        fit.wait()
        os.close(reader)
        os.close(terminal)


def test_without_colour_no_style_is_sent(terminal):
    begin(terminal, before="NO_COLOR=1")
    time.sleep(1)
    assert "\x1b[" not in terminal.screen(colour=True)


def test_with_colour_styles_are_sent(terminal):
    begin(terminal)
    time.sleep(1)
    assert "\x1b[" in terminal.screen(colour=True)


@pytest.mark.parametrize("before", ["TERM=dumb", "CI=1"])
def test_no_dashboard_where_a_terminal_is_none(terminal, before):
    terminal.type(f"clear; {before} {COMMAND} 1; echo ended with $?", "Enter")
    screen = terminal.wait_for("ended with 0")
    assert "phase" not in screen
    assert "evaluation return" in screen
