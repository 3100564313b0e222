"""What is printed while a dashboard is up: kept, whoever prints it, and printed afterwards."""

import os
import pty
import subprocess
import sys
import textwrap

from lightning_dqn.live.capture import Capture

SCRIPT = """
    import logging, os, subprocess, sys
    from lightning_dqn.live.capture import Capture
    print("before")
    capture = Capture()
    capture.start()
    print("by print")
    os.write(2, b"by os.write\\n")
    subprocess.run(["sh", "-c", "echo by a child"])
    sys.stderr.write("\\r10%\\r90%")
    sys.stdout.flush()
    lines = list(capture.newest_lines())
    assert os.isatty(1) is False
    capture.stop()
    print("after")
    print(lines)
"""


def run(**streams):
    main, side = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT)],
        **{"stdout": side, "stderr": side, **streams},
    )
    process.wait(60)
    os.close(side)
    told = b""
    try:
        while data := os.read(main, 65_536):
            told += data
    except OSError:
        pass
    os.close(main)
    assert process.returncode == 0, told.decode()
    return told.decode().replace("\r\n", "\n")


def test_everything_is_kept_in_its_order_and_printed_afterwards():
    told = run()
    assert told.startswith("before\nby print\nby os.write\nby a child\n\r10%\r90%after\n")
    assert "['by print', 'by os.write', 'by a child', '90%']" in told


def test_of_a_line_that_is_written_over_its_last_state_is_kept():
    capture = Capture()
    for percent in range(100):
        os.write(capture._writing, b"\r%d%%" % percent)
        assert capture.newest_lines() == [f"{percent}%"]
    os.write(capture._writing, b"\r")
    assert capture.newest_lines() == ["99%"]
    assert len(capture._open_line) < 10
    os.write(capture._writing, b"done\nnext")
    assert capture.newest_lines() == ["done", "next"]
    capture.stop()


def test_what_goes_to_a_file_is_left_there(tmp_path):
    with (tmp_path / "errors").open("w") as errors:
        told = run(stderr=errors)
    assert "by os.write\n" in (tmp_path / "errors").read_text()
    assert "before\nby print\nby a child\nafter\n" in told
