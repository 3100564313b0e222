"""What Hydra can do, done by a five-line program of stock Hydra and by ours, and compared."""

from __future__ import annotations

import json
import logging
import os
import pickle
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import hydra
import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from lightning_dqn.commands.main import main
from lightning_dqn.runs import run as runs

Jobs = list[dict[str, Any]]

OWN = {
    "conf/experiment/mine.yaml": "# @package _global_\nname: mine\ndata: {batch_size: 3}\n",
    "conf/experiment/swept.yaml": (
        "# @package _global_\n"
        "hydra: {mode: MULTIRUN, sweeper: {max_batch_size: 1, params: {seed: '3,4'}}}\n"
    ),
    "conf/own.yaml": "defaults: [config, _self_]\nlr: 0.5\nmodule: {optimizer: {lr: '${lr}'}}\n",
    "conf/callbacks/loud.yaml": "defaults: [default]\nprogress: null\n",
    "elsewhere/experiment/other.yaml": "# @package _global_\nname: other\n",
    "watching.py": (
        "from hydra.experimental.callback import Callback\n"
        "class Watch(Callback):\n"
        "    def on_run_start(self, config, **kwargs): print('run start')\n"
        "    def on_multirun_start(self, config, **kwargs): print('multirun start')\n"
        "    def on_job_start(self, config, **kwargs): print('job start', config.hydra.job.name)\n"
        "    def on_job_end(self, config, job_return, **kwargs): print('job end')\n"
        "    def on_run_end(self, config, **kwargs): print('run end')\n"
    ),
}

RUNNING = [
    "seed=3 data.batch_size=16",
    "+experiment=cartpole",
    "+experiment=mine",
    "algorithm=rainbow module/network=layers module.network.layers=[Flatten]",
    "module.network.hidden=[3,4] \"name='a b'\" +environment.kwargs.x={y:1}",
    "~callbacks.progress ~callbacks/target_network",
    "++data.batch_size=4 ++environment.kwargs.z=1",
    "callbacks=loud",
    "name=${hydra:job.name}-${hydra:runtime.choices.algorithm}",
    "name=${oc.env:OF_A_TEST}",
    "hydra.run.dir=here/${seed}",
    "hydra.job.chdir=true",
    "+hydra.job.env_set.OF_A_TEST=changed",
    "hydra.verbose=true hydra/job_logging=disabled",
    "hydra/job_logging=none hydra/hydra_logging=none",
    "hydra.searchpath=[file://elsewhere] +experiment=other",
    "--config-dir elsewhere +experiment=other",
    "--config-name own",
    "--config-name own lr=0.25",
    "-r seed=1",
    "-m seed=0,1 data.batch_size=4,8",
    "-m seed=range(1,4)",
    "-m algorithm=glob(*_dqn)",
    "-m algorithm=glob([d*,q*],exclude=[der,q_learning])",
    "-m module/optimizer=adam,sgd name=choice(x,y)",
    "-m seed=sort(3,1,2)",
    "-m tags=[job${hydra:job.num}] seed=0,1",
    "-m seed=0,1 hydra.sweep.dir=sweep hydra.sweep.subdir=${hydra.job.override_dirname}",
    "-m seed=0,1 hydra.sweep.dir=sweep hydra.sweep.subdir=n${hydra.job.num}",
    "hydra.mode=MULTIRUN seed=5,6",
    "+experiment=swept",
    "+hydra.callbacks.watch._target_=watching.Watch",
    "-m seed=0,1 +hydra.callbacks.watch._target_=watching.Watch",
]

SHOWING = [
    "--cfg job",
    "--cfg job +experiment=cartpole seed=4",
    "--cfg all --package hydra.job",
    "--cfg job -p data.replay",
    "-c hydra -p hydra.sweep",
    "--cfg job --package data --resolve",
    "--info defaults +experiment=mine",
    "--info defaults-tree",
    "--info searchpath --config-dir elsewhere",
    "--hydra-help",
]

FAILING = [
    "seed=1,2",
    "data.nothing=1",
    "+experiment=nope",
    "algorithm=nope",
    "--config-dir nowhere",
    "--config-name nope",
    "--nonsense",
    "data.batch_size=[",
    "-m seed=interval(0,1)",
    "--resolve",
    "--cfg job -m",
    "hydra/launcher=nope",
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with files of the user's own."""
    for name, text in OWN.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("OF_A_TEST", "from the environment")
    monkeypatch.setenv("HYDRA_MAIN_MODULE", "train")  # what the job is called
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    monkeypatch.setattr(HydraConfig.instance(), "cfg", None)  # as in a process of its own
    # Configuring the log closes all handlers that there are; Keras's would close pytest's stream.
    monkeypatch.setattr(logging, "_handlerList", [])
    return tmp_path


def record(jobs: Jobs, config: DictConfig) -> None:
    """Note what a task is given and where it stands."""
    node = HydraConfig.get()
    jobs.append(
        {
            "config": OmegaConf.to_container(config),
            "name": str(config.name),
            "tags": list(config.tags),
            "overrides": OmegaConf.to_container(node.overrides.task),
            "number": node.job.get("num"),
            "folder": without_time(
                str(Path(node.runtime.output_dir).relative_to(node.runtime.cwd))
            ),
            "working directory": without_time(os.getcwd()),
            "environment": os.environ["OF_A_TEST"],
            "saved": sorted(p.name for p in Path(node.runtime.output_dir, ".hydra").iterdir()),
        }
    )


def stock(jobs: Jobs) -> Callable[[], Any]:
    """Return the program of stock Hydra."""

    @hydra.main(config_path="pkg://lightning_dqn.conf", config_name="config", version_base="1.3")
    def train(config: DictConfig) -> None:
        record(jobs, config)

    return train


def without_time(text: str) -> str:
    """Return a text with its times of day and addresses taken out."""
    return re.sub(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d-\d+", "TIME", text)


def call(program: Callable[[], Any], arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run a program in this process; return its exit code."""
    monkeypatch.setattr(sys, "argv", ["program", *shlex.split(arguments)])
    for handler in list(logging.root.handlers):
        if type(handler) in (logging.StreamHandler, logging.FileHandler):  # the last program's
            logging.root.removeHandler(handler)
            handler.close()
    logging.root.setLevel(logging.WARNING)
    try:
        program()
    except SystemExit as stop:
        return int(stop.code or 0)
    except (ValueError, AssertionError):
        return 1
    return 0


FINISHED = {"seed": 0, "episode_return": 0.0, "episode_return_std": 0.0, "episodes": 1}
FINISHED |= {"env_steps": 1, "first_env_step": 0, "updates": 1, "wall_seconds": 1.0}
FINISHED |= {"commit": None, "versions": {}, "hardware": {}}
"""What a run leaves that is finished."""


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> Jobs:
    """The jobs that our program would run, in place of preparing and running them."""
    jobs: Jobs = []
    monkeypatch.setattr(runs, "prepare", lambda config, seen=None: config)
    monkeypatch.setattr(runs, "rehearse", lambda config: None)
    monkeypatch.setattr("lightning_dqn.runs.jobs_check.check_values", lambda config, seen: None)
    monkeypatch.setattr("lightning_dqn.runs.switched_off.switched_off", lambda experiment: [])

    class Summed:
        episode_return = 0.0

    def instead(config: DictConfig) -> Summed:
        record(jobs, config)
        Path(config.run_dir, "summary.json").write_text(json.dumps(FINISHED))
        return Summed()

    monkeypatch.setattr(runs, "run", instead)
    return jobs


# Stock Hydra looks for a user's own files only where it is told; ours also in ./conf.
HELP = " hydra.searchpath=[file://conf]"


@pytest.mark.parametrize("arguments", RUNNING)
def test_what_runs_is_what_stock_hydra_runs(
    arguments: str,
    folder: Path,
    ours: Jobs,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def watched() -> list[str]:
        lines = capsys.readouterr().out.splitlines()
        return [line for line in lines if line.split(" ")[0] in ("run", "multirun", "job")]

    expected: Jobs = []
    needs_help = any(word in arguments for word in ("mine", "swept", "loud"))
    for_stock = arguments + (HELP if needs_help else "")
    if "--config-name" in arguments:  # of the primary configuration the folder must be named
        for_stock = f"--config-dir conf {arguments}"
    assert call(stock(expected), for_stock, monkeypatch) == 0
    order_of_calls = watched()
    assert call(main, arguments, monkeypatch) == 0
    assert expected, "stock Hydra ran nothing"
    if all("sweep" not in one for one in arguments.split()[1:]):
        for one in expected if len(expected) > 1 else []:
            one["folder"] = ANY  # ours is one for all, and the job's is called by what differs
    assert ours == expected
    assert watched() == order_of_calls
    assert bool(order_of_calls) == ("watch" in arguments)


def test_a_folder_of_a_run_has_what_stock_hydra_writes(
    folder: Path, ours: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, program in (("stock", stock([])), ("ours", main)):
        placed = f"hydra.sweep.dir={name} hydra.sweep.subdir=n${{hydra.job.num}}"
        assert call(program, f"-m seed=0,1 {placed}", monkeypatch) == 0
    files = {
        name: sorted(str(path.relative_to(name)) for path in Path(name).rglob("*"))
        for name in ("stock", "ours")
    }
    of_runs = re.compile(r".*\.(log|lock)|(n\d/summary|sweep|results)\.json|table.md|results.csv")
    own = [one for one in files["ours"] if of_runs.fullmatch(one)]
    assert [one for one in files["ours"] if one not in own] == [
        one for one in files["stock"] if not one.endswith(".log")
    ]


@pytest.mark.parametrize("arguments", SHOWING)
def test_what_is_shown_is_what_stock_hydra_shows(
    arguments: str,
    folder: Path,
    ours: Jobs,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for_stock = arguments + (HELP if "mine" in arguments else "")
    assert call(stock([]), for_stock, monkeypatch) == 0
    expected = capsys.readouterr().out
    assert call(main, arguments, monkeypatch) == 0
    found = capsys.readouterr().out
    if "searchpath" in arguments:  # ours has ./conf and the experiments beside it
        assert "elsewhere" in found
        assert "pkg://lightning_dqn.conf" in found
        return
    assert ours == []
    assert without_time(found) == without_time(expected).replace(HELP, "")


@pytest.mark.parametrize("arguments", FAILING)
def test_what_stock_hydra_refuses_is_refused_with_2_and_a_line(
    arguments: str,
    folder: Path,
    ours: Jobs,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call(stock([]), arguments, monkeypatch) != 0
    for path in folder.glob("*"):
        assert path.name not in ("runs", "outputs", "multirun") or not list(path.rglob("summary*"))
    capsys.readouterr()
    assert call(main, arguments, monkeypatch) == 2
    error = capsys.readouterr().err
    assert error.startswith("lightning-dqn: ")
    assert error.count("\n") == 1
    assert ours == []


def test_a_run_is_repeated_from_its_pickle_as_stock_hydra_does(
    folder: Path, ours: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = (
        "seed=8 hydra.run.dir=first "
        "+hydra.callbacks.save._target_=hydra.experimental.callbacks.PickleJobInfoCallback"
    )
    assert call(main, arguments, monkeypatch) == 0
    [saved] = folder.rglob("config.pickle")
    assert pickle.loads(saved.read_bytes()).seed == 8
    with pytest.warns(UserWarning, match="Experimental rerun"):
        assert call(main, f"--experimental-rerun {saved}", monkeypatch) == 0
    assert [job["config"]["seed"] for job in ours] == [8, 8]


def test_with_resolve_the_values_are_shown_that_a_run_would_have(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = "--cfg job --resolve module/lr_scheduler=linear data/sampler=prioritized"
    assert call(main, arguments, monkeypatch) == 0
    shown = OmegaConf.create(capsys.readouterr().out)
    assert shown.module.lr_scheduler.total_iters == 10 * -(-5_000 // 64)
    assert shown.data.sampler.beta.duration == 1_000 + 10 * 79 * 64
    assert Path(shown.run_dir).parent == folder / "runs" / "CartPole-v1"
    assert not (folder / "runs").exists()
