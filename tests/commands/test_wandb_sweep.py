"""The sweep that is shipped for W&B's agent, run as the agent runs it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf
from support.processes import SHORT
from support.wandb_records import config, exit_codes, history, read_records
from support.wandb_session import wandb_session

from lightning_dqn.reporting.glossary import GLOSSARY
from lightning_dqn.runs.compose import compose
from lightning_dqn.runs.keys import flat

SHIPPED = Path(__file__).resolve().parents[2] / "docs" / "wandb_sweep.yaml"


def _sweep() -> Any:
    return yaml.safe_load(SHIPPED.read_text())


@pytest.fixture
def session(tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    with wandb_session(tmp_path / "home", WANDB_MODE="offline", WANDB_SWEEP_ID="sweep1") as patch:
        patch.chdir(tmp_path)
        patch.setenv(
            "PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        )
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        patch.setenv("WANDB_RUN_ID", "is set by the agent")
        patch.setenv("WANDB_SWEEP_PARAM_PATH", "is set by the agent")
        yield patch


def _agents_run(command: list[str], values: dict[str, Any]) -> int:
    """Run a job as the agent does that was told its values by the server; return the status."""
    from wandb.wandb_agent import Agent

    agent = Agent(SimpleNamespace(), None, sweep_id="sweep1")
    agent._sweep_command = command
    args = {key: {"value": value} for key, value in values.items()}
    agent._command_run({"run_id": "run1", "program": _sweep()["program"], "args": args})
    status = agent._run_processes["run1"].wait(timeout=120)
    assert isinstance(status, int)
    return status


def _chosen() -> dict[str, Any]:
    """Return a value of each parameter, as the server would choose it."""
    parameters = _sweep()["parameters"].items()
    return {key: one.get("values", [one.get("max")])[-1] for key, one in parameters}


def test_the_shipped_sweep_is_of_keys_and_a_metric_that_there_are() -> None:
    sweep = _sweep()
    keys = dict(flat(OmegaConf.to_container(compose(["+experiment=cartpole"]))))
    assert set(sweep["parameters"]) <= set(keys)
    assert sweep["metric"]["name"] in GLOSSARY
    assert sweep["command"][-1] == "${args_no_hyphens}"


@pytest.mark.parametrize(
    "style", ["${args}", pytest.param("${args_no_hyphens}", marks=pytest.mark.slow)]
)
def test_the_agent_runs_a_job_of_the_sweep(
    style: str, session: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    values = _chosen()
    command = [*_sweep()["command"][:-1], *SHORT, "hydra.run.dir=run", style]
    command.remove("module.network.hidden=[8]")  # the sweep's own
    assert _agents_run(command, values) == 0
    [directory] = (tmp_path / "run" / "wandb").glob("offline-run-*-run1")
    records = read_records(directory)
    [first, *_] = [record.run for record in records if record.HasField("run")]
    assert (first.run_id, first.job_type, first.sweep_id) == ("run1", "sweep", "sweep1")
    assert first.display_name.endswith("hidden=[128,128],lr=0.01,seed=2")
    assert exit_codes(records) == [0]
    received = config(records)
    assert received["seed"] == values["seed"]
    assert received["module"]["optimizer"]["lr"] == values["module.optimizer.lr"]
    assert received["module"]["network"]["hidden"] == [128, 128]
    assert "test/episode_return" in history(records)[-1]


def test_a_job_of_the_agent_that_fails_is_told_so(
    session: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    command = [*_sweep()["command"][:-1], *SHORT, "hydra.run.dir=run", "${args}"]
    assert _agents_run(command, {"sede": 1}) == 2
    assert not (tmp_path / "run").exists()
