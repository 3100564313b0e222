"""Sweeps on the command line: by each launcher, with a failing job, and stopped midway."""

from __future__ import annotations

import csv
import importlib.util
import json
import signal

import pytest
from support.fake_slurm import fake_slurm
from support.interrupted_runs import has_rows, interrupt, start
from support.processes import SHORT, command

DIVERGES = "1e30"
"""A learning rate of which the first update is the last finite one."""

GRID = ("-m", f"module.optimizer.lr=1e-3,{DIVERGES}", "seed=0,1,2", *SHORT)
JOBS = [f"lr={lr},seed={seed}" for lr in ("0.001", "1e+30") for seed in range(3)]

SLURM = "submitit_slurm"

LAUNCHERS = [
    "basic",
    "processes",
    pytest.param("joblib", marks=pytest.mark.slow),
    pytest.param("submitit_local", marks=pytest.mark.slow),
    pytest.param(SLURM, marks=pytest.mark.slow),
    pytest.param("ray", marks=pytest.mark.slow),
]


def launcher(name: str) -> str:
    """Return the argument that chooses a launcher, where it is installed."""
    plugin = f"hydra_plugins.hydra_{name.partition('_')[0]}_launcher"
    is_own = name in ("basic", "processes")
    if not is_own and not importlib.util.find_spec(plugin):
        pytest.skip(f"the launcher {name} isn't installed")
    return f"hydra/launcher={name}"


@pytest.mark.parametrize("name", LAUNCHERS)
def test_a_job_that_fails_is_one_jobs_failure(name, tmp_path):
    asked = ["hydra.launcher.partition=of_gpus"] if name == SLURM else []
    slurm = fake_slurm(tmp_path / "slurm") if name == SLURM else {}
    ended = command(
        *GRID, launcher(name), *asked, "hydra.sweep.dir=sweep", cwd=tmp_path, timeout=400, **slurm
    )
    assert ended.returncode == 1, ended.stdout + ended.stderr
    sweep = tmp_path / "sweep"
    if name == SLURM:
        script = (tmp_path / "slurm" / "script.sh").read_text()
        assert "#SBATCH --array=0-5" in script
        assert "#SBATCH --partition=of_gpus" in script
    summaries = {job for job in JOBS if (sweep / job / "summary.json").exists()}
    assert summaries == set(JOBS[:3])
    for job in JOBS[3:]:
        failure = json.loads((sweep / job / "failure.json").read_text())
        assert failure["type"] == "NonFiniteError"
        assert f"{job} failed: {failure['error']}" in ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr
    with (sweep / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["setting"], row["finished"], row["failed"]) for row in rows] == [
        ("lr=0.001", "3", "0"),
        ("lr=1e+30", "0", "3"),
    ]
    assert (
        "best  lr=0.001\n  python -m lightning_dqn study module.optimizer.lr=0.001" in ended.stdout
    )
    returns = [
        json.loads((sweep / job / "summary.json").read_text())["episode_return"] for job in JOBS[:3]
    ]
    assert float(rows[0]["mean"]) == pytest.approx(sum(returns) / 3)


def test_every_job_says_what_it_was_asked_for_and_they_differ(tmp_path):
    ended = command("-m", "seed=0,1", "test=false", "name=a", *SHORT, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    [sweep] = (tmp_path / "runs" / "a").iterdir()
    weights = [(sweep / f"seed={n}" / "module.safetensors").read_bytes() for n in (0, 1)]
    assert weights[0] != weights[1]
    summary = json.loads((sweep / "seed=1" / "summary.json").read_text())
    assert "seed=1" in summary["overrides"]
    assert "the best evaluation of each run that played no test" in ended.stdout, (
        "for none was tested"
    )


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("name", ["basic", "processes"])
def test_a_stopped_sweep_goes_on_to_the_same_results(name, number, tmp_path):
    longer = [one for one in SHORT if "max_epochs" not in one]
    asked = ("-m", "seed=1,2", *longer, "trainer.max_epochs=12", launcher(name))
    process = start(tmp_path, *asked, "hydra.sweep.dir=sweep")
    ended = interrupt(process, has_rows(tmp_path / "sweep" / "seed=1", 20), number)
    assert ended.status == 128 + number, ended.output
    assert "continue with: python -m lightning_dqn resume sweep" in ended.output
    assert not (tmp_path / "sweep" / "seed=2").exists()
    assert not (tmp_path / "sweep" / "results.json").exists()
    more = [launcher(name)] if name == "processes" else []
    again = command("resume", "sweep", *more, cwd=tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
    unbroken = command(*asked, "hydra.sweep.dir=unbroken", cwd=tmp_path)
    assert unbroken.returncode == 0, unbroken.stderr
    for job in ("seed=1", "seed=2"):
        weights = [tmp_path / sweep / job / "module.safetensors" for sweep in ("sweep", "unbroken")]
        assert weights[0].read_bytes() == weights[1].read_bytes()


def test_a_folder_of_a_sweep_is_not_swept_into_again(tmp_path):
    asked = ("-m", "seed=0,1", *SHORT, "hydra.sweep.dir=sweep")
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "sweep.json").write_text("{}")
    ended = command(*asked, cwd=tmp_path)
    assert ended.returncode == 2
    again = "python -m lightning_dqn resume sweep"
    assert f"sweep: holds a sweep already; continue it: {again}" in ended.stderr
    assert [path.name for path in (tmp_path / "sweep").iterdir()] == ["sweep.json"]


def test_a_sweep_takes_no_other_keys_when_it_goes_on(tmp_path):
    ended = command("resume", str(tmp_path), "seed=3", cwd=tmp_path)
    assert ended.returncode == 2
    (tmp_path / "sweep.json").write_text(
        '{"name": "a", "command": [], "num_at_once": null, "jobs": []}'
    )
    ended = command("resume", str(tmp_path), "seed=3", cwd=tmp_path)
    assert ended.returncode == 2
    assert "seed=3: a sweep continues as it was asked for" in ended.stderr
