"""A folder is one run's while it works, and a finished one's for good."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lightning_dqn.safekeeping.folder_lock import FolderInUse, locked, refuse_finished

HOLDER = """
import sys, time
from pathlib import Path
from lightning_dqn.safekeeping.folder_lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def start_holder(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_process_is_refused_with_the_firsts_number_until_that_is_killed(tmp_path):
    holder = start_holder(tmp_path)
    try:
        before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        for _ in range(2):
            with (
                pytest.raises(FolderInUse, match=rf"^{tmp_path}: process {holder.pid} works") as e,
                locked(tmp_path),
            ):
                pass
            assert "\n" not in str(e.value)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert holder.stdout is not None
        holder.stdout.close()
    with locked(tmp_path):
        assert int((tmp_path / ".lock").read_text()) == os.getpid()


def test_a_folder_is_made_and_given_free_at_the_end_of_the_run_however_it_ends(tmp_path):
    folder = tmp_path / "new" / "run"

    def enter_twice() -> None:
        with locked(folder), locked(folder):
            pass

    with pytest.raises(FolderInUse, match=f"process {os.getpid()} works"):
        enter_twice()
    with locked(folder):
        pass


def test_a_holder_that_has_not_said_its_number_yet_is_told_all_the_same(tmp_path):
    with locked(tmp_path):
        (tmp_path / ".lock").write_text("")
        with pytest.raises(FolderInUse, match="another process works"), locked(tmp_path):
            pass


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="another user is needed")
def test_a_folder_that_can_not_be_written_is_refused_in_one_line(tmp_path):
    tmp_path.chmod(0o555)
    program = """
import os
from pathlib import Path
from lightning_dqn.safekeeping.folder_lock import locked
os.setuid(65534)
try:
    with locked(Path(".")):
        pass
except ValueError as error:
    print(error)
"""
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path
    )
    assert result.stdout == ".: can't be written (Permission denied); choose another folder\n"


def test_a_finished_folder_is_refused_with_the_way_to_go_on(tmp_path):
    refuse_finished(tmp_path)
    refuse_finished(tmp_path / "nowhere")
    (tmp_path / "summary.json").write_text("{}")
    with pytest.raises(FolderInUse, match=rf"^{tmp_path}: .*finished.*resume {tmp_path}$"):
        refuse_finished(tmp_path)
