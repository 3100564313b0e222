"""The verb doctor: what it prints before a run and of one that was made, and how it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.processes import SHORT, command

from lightning_dqn.commands import doctor

SICK = "network/dormant_units,step\n0.9,100\n0.9,200\n"
SOUND = SICK.replace("0.9", "0.1")


def test_before_a_run_it_tells_the_environment_and_what_is_taken(tmp_path: Path) -> None:
    result = command(
        "doctor",
        "+experiment=cartpole",
        *SHORT,
        "seconds=1",
        "--random_steps=200",
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr
    for name in ("seeding", "masks", "reward scale", "replay ring", "checkpoints", "whole run"):
        assert name in result.stdout
    assert result.stdout.rstrip().endswith("findings\n  none")
    assert list(tmp_path.iterdir()) == []


def test_a_fault_of_the_environment_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import gymnasium as gym\n"
        "class Rich(gym.RewardWrapper):\n"
        "    def reward(self, reward):\n"
        "        return 1e6 * reward\n"
        "gym.register('Rich-v0', lambda **kw: Rich(gym.make('CartPole-v1', **kw)))\n"
    )
    result = command(
        *("doctor", "environment.id=mine:Rich-v0", *SHORT, "seconds=1", "random_steps=200"),
        cwd=tmp_path,
    )
    assert result.returncode == 1, result.stderr
    assert "WRONG  reward scale" in result.stdout
    assert "data.replay.reward_clip=1.0" in result.stdout.split("findings")[1]


@pytest.mark.parametrize(("text", "status"), [(SICK, 1), (SOUND, 0)])
def test_of_a_run_that_was_made_findings_are_told(
    text: str, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "metrics.csv").write_text(text)
    with pytest.raises(SystemExit) as ended:
        doctor.main([str(tmp_path)])
    assert ended.value.code == status
    told = capsys.readouterr().out
    if status:
        assert told.startswith("units-silent (env steps 200 to 200): 90% of the torso's units")
    else:
        assert "nothing is wrong by the rules" in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["runs/nowhere"], "metrics.csv is missing"),
        (["runs/x", "seed=1"], "seed=1: a run that was made has its own keys"),
        (["+experiment=cartpol"], "did you mean cartpole?"),
        (["+experiment=cartpole", "seconds=0"], "seconds=0: expected a number from 1"),
        (["-m", "+experiment=cartpole", "seed=1,2"], "looks at one run"),
        (["+experiment=cartpole", "data.batch_siz=3"], "did you mean data.batch_size?"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        doctor.main(arguments)
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


def test_help_is_printed_where_nothing_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    doctor.main([])
    assert "random_steps=5000" in capsys.readouterr().out


def test_several_ranks_are_not_tried_in_one_process(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        doctor.main([*SHORT, "environment.id=CartPole-v1", "trainer.devices=2"])
    assert ended.value.code == 2
    assert "doctor: tries a run in one process; add trainer.devices=1" in capsys.readouterr().err
