"""A run outlives who reads what it prints."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from lightning_dqn.system.output import lasting_output

PRINTS = """
import sys, time
from lightning_dqn.system.output import lasting_output
with lasting_output():
    for stream in (sys.stdout, sys.stderr):
        print("first", file=stream, flush=True)
    sys.stdin.readline()
    for stream in (sys.stdout, sys.stderr):
        print("second", file=stream, flush=True)
        print("third", file=stream, flush=True)
    open(sys.argv[1], "w").write("done")
"""


def test_what_prints_goes_on_when_a_pipe_is_closed(tmp_path):
    done = tmp_path / "done"
    process = subprocess.Popen(
        [sys.executable, "-c", PRINTS, str(done)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout.readline() == process.stderr.readline() == b"first\n"
    process.stdout.close()
    process.stderr.close()
    process.stdin.write(b"go on\n")
    process.stdin.close()
    assert process.wait(timeout=60) == 0
    assert done.read_text() == "done"


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no pseudo-terminals here")
def test_what_prints_goes_on_when_its_terminal_is_closed(tmp_path):
    done, (ours, theirs) = tmp_path / "done", os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", PRINTS, str(done)],
        stdin=subprocess.PIPE,
        stdout=theirs,
        stderr=theirs,
    )
    seen = b""
    while seen.count(b"first") < 2:
        seen += os.read(ours, 100)
    os.close(theirs)
    os.close(ours)
    process.stdin.write(b"go on\n")
    process.stdin.close()
    assert process.wait(timeout=60) == 0
    assert done.read_text() == "done"


def test_what_is_read_comes_at_once_and_in_order():
    code = (
        "import sys, os\n"
        "from lightning_dqn.system.output import lasting_output\n"
        "print('before')\n"
        "with lasting_output():\n"
        "    print('a line')\n"
        "    sys.stderr.write('\\rbar')\n"
        "    print('\u00fc')\n"
        "print('after')\n"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, env=environment, check=True
    )
    assert found.stdout.decode().splitlines() == ["before", "a line", "\u00fc", "after"]
    assert found.stderr == b"\rbar"


def test_streams_that_are_no_files_stay(capsys):
    before = sys.stdout, sys.stderr
    with lasting_output():
        assert (sys.stdout, sys.stderr) == before
        print("heard")
    assert (sys.stdout, sys.stderr) == before
    assert capsys.readouterr().out == "heard\n"


def test_other_faults_of_writing_are_told(tmp_path, monkeypatch):
    with (tmp_path / "read_only").open("w"), (tmp_path / "read_only").open() as file:
        monkeypatch.setattr(sys, "stdout", file)
        with pytest.raises(OSError, match="Bad file descriptor"), lasting_output():
            print("lost")
