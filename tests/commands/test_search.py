"""A search by the command line: what it finds, refuses, and how it goes on."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from support.processes import SHORT, command

from lightning_dqn.runs.compose import Composer
from lightning_dqn.runs.jobs import SweepJob
from lightning_dqn.runs.mistakes import MISTAKES
from lightning_dqn.study.searching import asked_search, begun
from lightning_dqn.study.sweep import read_sweep

pytest.importorskip("optuna")

LR = "module.optimizer.lr=tag(log,interval(1e-4,1e-2))"
TINY = (*SHORT, "data.env_steps_per_epoch=128", "trainer.max_epochs=3", "sweep.startup_trials=1")


def plan(*arguments: str) -> tuple[str, ...]:
    """Return what is asked for: keys to search, then what is fixed."""
    with Composer(arguments) as composer:
        search = asked_search(composer)
    assert search is not None
    return (*search.params, *search.fixed)


def mistake(*arguments: str) -> str:
    """Return what is told of arguments that are wrong."""

    def check() -> None:
        with Composer(arguments) as composer:
            search = asked_search(composer)
            assert search is not None
            begun(search, composer, arguments)

    with pytest.raises(MISTAKES) as error:
        check()
    text = str(error.value)
    assert "\n" not in text
    return text


def test_without_a_sweep_nothing_is_searched() -> None:
    for arguments in ([], ["-m", "data.batch_size=32,64"], ["sweep=none"]):
        with Composer(arguments) as composer:
            assert asked_search(composer) is None


def test_a_run_knows_nothing_of_sweeps() -> None:
    with Composer(["+experiment=cartpole"]) as composer:
        assert "sweep" not in composer.config()


@pytest.mark.parametrize("flags", [(), ("-m",)])
def test_sweeps_of_values_are_searched_and_others_fixed(flags: tuple[str, ...]) -> None:
    found = plan(*flags, "sweep=optuna", LR, "seed=3", "hydra.sweep.dir=x", "sweep.n_trials=2")
    assert found == ("module.optimizer.lr", "seed=3")


def test_the_command_line_wins_over_a_ready_space() -> None:
    ready = plan("+experiment=cartpole", "sweep=optuna_cartpole")
    assert ready[:4] == (
        "module.optimizer.lr",
        "data.batch_size",
        "data.replay.n_step",
        "module.network.hidden",
    )
    own = plan("+experiment=cartpole", "sweep=optuna_cartpole", "data.batch_size=16", LR)
    assert sorted(own) == sorted(
        [
            "module.optimizer.lr",
            "data.replay.n_step",
            "module.network.hidden",
            "+experiment=cartpole",
            "data.batch_size=16",
        ]
    )


def test_the_ready_space_fits_its_experiment() -> None:
    arguments = ["+experiment=cartpole", "sweep=optuna_cartpole", "trainer=cpu"]
    with Composer(arguments) as composer:
        search = asked_search(composer)
        assert search is not None
        searching = begun(search, composer, arguments)
    assert searching.sweep.name == "cartpole"
    assert searching.pruner["_target_"] == "optuna.pruners.MedianPruner"


def test_an_experiment_may_choose_the_sweep(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /sweep: optuna_cartpole\n"
    )
    arguments = ("--config-dir", str(tmp_path), "+experiment=mine")
    assert plan(*arguments)[4:] == ("+experiment=mine", "sweep=none")
    job = SweepJob("job", ("+experiment=mine", "sweep=none"))
    with Composer(arguments[:2], [job]) as composer:
        assert "sweep" not in next(composer.jobs()).config


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["sweep=optuna"], "sweep.params: nothing to search"),
        (["sweep=optuna", LR, "sweep.n_trials=0"], "sweep.n_trials=0: expected a whole number"),
        (["sweep=optuna", LR, "sweep.direction=up"], "sweep.direction=up: choose maximize or min"),
        (["sweep=optuna", "module.optimizer.lr=interval(1,0)"], "low end is above its high end"),
        (["sweep=optuna", "module.optimizer.lrr=interval(0,1)"], "module.optimizer.lrr"),
        (["sweep=optuna", "data.batch_size=choice(32,x)"], "data.batch_size=x"),
        (["sweep=optuna", "data.replay.n_step=range(0,3)"], "n_step=0"),
        (["sweep=optuna", LR, "seed=1,2"], "seed: can't be searched"),
    ],
)
def test_what_is_wrong_is_told_before_anything_runs(arguments: list[str], told: str) -> None:
    assert told in mistake(*arguments)


def test_a_run_needs_no_optuna() -> None:
    code = "import sys, lightning_dqn.commands.train; print('optuna' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "False"


@pytest.mark.slow
def test_a_search_is_killed_goes_on_and_ends_in_an_answer(tmp_path: Path) -> None:
    folder = tmp_path / "search"
    arguments = ["sweep=optuna", LR, *TINY, "sweep.n_trials=4", f"hydra.sweep.dir={folder}"]
    process = subprocess.Popen([sys.executable, "-m", "lightning_dqn", *arguments], cwd=tmp_path)
    for _ in range(1_200):
        if list(folder.glob("trial=001*/checkpoints/last.ckpt")):
            break
        time.sleep(0.05)
    process.kill()
    process.wait()
    [killed] = folder.glob("trial=001*")
    assert not (killed / "summary.json").exists()
    result = command("resume", str(folder), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "4 trials, 1 of them ended already" in result.stdout
    assert "best  trial=" in result.stdout
    assert "Warning" not in result.stderr
    assert len(list(folder.glob("trial=*/.hydra"))) == 4
    assert {job.name for job in read_sweep(folder).jobs} == {p.name for p in folder.glob("trial=*")}
    for run in folder.glob("trial=*"):
        assert (run / "summary.json").exists() != (run / "pruned.json").exists()
        assert "sweep" not in OmegaConf.load(run / ".hydra" / "config.yaml")
    again = command("resume", str(folder), "sweep.n_trials=5", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert len(json.loads((folder / "sweep.json").read_text())["jobs"]) == 5


@pytest.mark.slow
def test_a_trial_that_fails_or_is_pruned_is_so_in_processes_too(tmp_path: Path) -> None:
    pruner = "+sweep.pruner={_target_:optuna.pruners.ThresholdPruner,lower:1000}"
    arguments = ["sweep=optuna", LR, *TINY, "sweep.n_trials=3", "sweep.n_jobs=2"]
    placed = f"hydra.sweep.dir={tmp_path / 'search'}"
    result = command(*arguments, pruner.lstrip("+"), placed, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "3 trials: 0 finished, 3 pruned" in result.stdout
    assert "Warning" not in result.stderr
    assert not list(tmp_path.glob("search/trial=*/summary.json"))
    metric = command(*arguments, "sweep.metric=eval/nope", cwd=tmp_path)
    assert metric.returncode == 2
    assert "sweep.metric=eval/nope: no run logs it; there are eval/" in metric.stderr
