"""What the tab key offers, as bash asks for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lightning_dqn.commands import completion
from lightning_dqn.commands.main import COMMANDS

PROGRAM = Path(sys.executable).with_name("lightning-dqn")

OFFERED = [
    ("", ["train", "evaluate", "study", "data.", "algorithm"]),
    ("ev", ["evaluate"]),
    ("data.batch", ["data.batch_size="]),
    ("train data.batch", ["data.batch_size="]),
    ("+experiment=cart", ["+experiment=cartpole"]),
    ("train +experiment=cart", ["+experiment=cartpole"]),
    ("algorithm=rain", ["algorithm=rainbow"]),
    ("-m algorithm=rainbow module/he", ["module/head="]),
    ("evaluate ep", ["episodes_per_env=", "epsilon="]),
    ("evaluate runs/x json=", ["json=true", "json=false"]),
    ("export runs/x format=on", ["format=onnx"]),
    ("export runs/x keys=", ["keys=dfdx", "keys=own"]),
    ("play runs/x seed=", ["seed=null"]),
    ("study seeds=3 +experiment=cart", ["+experiment=cartpole"]),
    ("suite atari100k ga", ["games="]),
    ("suite atari100k algorithm=rain", ["algorithm=rainbow"]),
    ("study lo", ["log=", "logger="]),
    ("import a.npz output=b module/head=quan", ["module/head=quantile"]),
    ("report runs/x me", ["metric="]),
    ("report runs/x fo", ["folder="]),
    ("doctor sec", ["seconds="]),
    ("doctor +experiment=cart", ["+experiment=cartpole"]),
    ("watch runs/x te", ["text="]),
    ("record runs/x ou", ["output="]),
    ("resume runs/x trainer.max_ep", ["trainer.max_epochs="]),
    ("dashboard pro", ["project="]),
]


@pytest.fixture(scope="module")
def script() -> str:
    """What ``eval`` takes to install the completion."""
    if shutil.which("bash") is None or not PROGRAM.exists():
        pytest.skip("needs bash and the console script")
    command = [str(PROGRAM), "-sc", "install=bash"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(("typed", "expected"), OFFERED)
def test_the_tab_key_offers_what_may_be_typed(
    typed: str, expected: list[str], script: str, tmp_path: Path
) -> None:
    line = f"lightning-dqn {typed}"
    code = f'{script}\nhydra_bash_completion\nprintf "%s\\n" "${{COMPREPLY[@]}}"'
    result = subprocess.run(
        ["bash", "-c", code],
        cwd=tmp_path,
        env={
            **os.environ,
            "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}",
            "COMP_LINE": line,
            "COMP_POINT": str(len(line)),
            "COMP_CWORD": str(len(line.split(" ")) - 1),
        },
        capture_output=True,
        text=True,
    )
    offered = result.stdout.split()
    assert set(expected) <= set(offered), result.stderr
    assert all(one.startswith(typed.split(" ")[-1]) for one in offered)
    if typed:
        assert offered == sorted(set(offered), key=offered.index)


def test_every_command_has_a_row_here() -> None:
    assert {typed.split(" ")[0] for typed, _ in OFFERED} >= set(COMMANDS)


def test_every_command_with_options_of_its_own_is_known() -> None:
    assert set(completion.OPTIONS) == set(COMMANDS) - {"train"}
