"""Print what the dashboard in the terminal costs: learning with it over learning without.

    python benchmarks/live_cost.py
    python benchmarks/live_cost.py --pairs 6 --size 200x60

The CartPole work unit, in pairs of fresh processes of one thread that take turns in going first.
Both write metrics.csv and log a row every 10 iterations; both have a pseudo-terminal of their own,
which is read as fast as it is written to. Seconds are the process's own, all its threads and the
processes it has started included, from the end of the warm-up, without the compilation, to the end
of learning, so that other work on the machine disturbs little. Without, nothing is shown.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import statistics
import struct
import sys
import termios
from typing import Any

from learning_time import learning_seconds
from text_table import format_table
from two_commits import interval


def measure(*, shows: bool) -> float:
    """Return the processor seconds of learning the work unit, in this process."""

    def callbacks() -> list[Any]:
        from lightning_dqn.callbacks import LiveDashboard

        return [LiveDashboard(show=True, name="work unit")] if shows else []

    return learning_seconds(callbacks, log_every_n_steps=10)


def in_fresh_process(*, shows: bool, size: tuple[int, int]) -> tuple[float, int]:
    """Return what :func:`measure` returns of a process of its own, and the bytes that it sent.

    Args:
        shows: the dashboard.
        size: columns and lines of its terminal.
    """
    results, writing = os.pipe()
    child, terminal = pty.fork()
    if child == 0:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "TERM": "xterm-256color"}
        environment.pop("CI", None)
        os.set_inheritable(writing, True)
        options = ["--result", str(writing), *(["--shows"] if shows else [])]
        os.execve(sys.executable, [sys.executable, __file__, "--measure", *options], environment)
    os.close(writing)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    shown = b""
    while data := _read(terminal):
        shown += data
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    with os.fdopen(results) as file:
        told = file.read()
    if status or not told:
        sys.exit(f"it ended with {os.waitstatus_to_exitcode(status)}:\n{shown.decode()}")
    return float(told), len(shown)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # the other side has been closed
        return b""


def row_of(pairs: int, size: tuple[int, int]) -> list[str]:
    """Return a terminal's row of the table."""
    without, with_it, sent = [], [], 0
    for number in range(pairs):
        order = (False, True) if number % 2 else (True, False)
        found = {shows: in_fresh_process(shows=shows, size=size) for shows in order}
        without.append(found[False][0])
        with_it.append(found[True][0])
        sent = found[True][1]
        print(f"{with_it[-1] / without[-1]:.3f}", file=sys.stderr, flush=True)
    ratios = [new / old for new, old in zip(with_it, without, strict=True)]
    low, high = interval(ratios)
    medians = [f"{statistics.median(seconds):.3f}" for seconds in (without, with_it)]
    ratio, spread = f"{statistics.median(ratios):.3f}", f"{low:.3f} to {high:.3f}"
    return [f"{size[0]}x{size[1]}", *medians, ratio, spread, str(pairs), f"{sent:,}"]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=20, help="of processes")
    parser.add_argument("--size", default="120x40", help="columns x lines of the terminal")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--result", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--shows", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        seconds = measure(shows=options.shows)
        with os.fdopen(options.result, "w") as file:
            file.write(str(seconds))
        return
    columns, lines = (int(one) for one in options.size.split("x"))
    rows = [["terminal", "without [s]", "with [s]", "ratio", "95 %", "pairs", "bytes sent"]]
    print(format_table([*rows, row_of(options.pairs, (columns, lines))]))


if __name__ == "__main__":
    main()
