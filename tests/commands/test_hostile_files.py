"""Folders and checkpoints that somebody sent: no command runs what they name, unless trusted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from support.hostile_files import Canary, changed_run, make_canary
from support.processes import SHORT, command
from support.short_runs import small_run

from lightning_dqn import DQN
from lightning_dqn.commands.main import main
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.finished.finished_run import FinishedRun

CALLS = {
    "environment": {"_target_": "os.system", "command": "touch canary"},
    "environment._target_": "lightning_dqn.system.files.os.system",
    "environment.id": "evilmod:X-v0",
    "environment.wrappers": [{"_target_": "evilmod.Wrapper", "_partial_": True}],
    "data.evaluation.environment": {
        "_target_": "torchmetrics.metric.inspect.importlib.import_module",
        "name": "evilmod",
    },
    "environment.kwargs": {"render_mode": "${oc.env:OF_A_TEST}"},
    "module.network": {"_target_": "evilmod.Net", "width": 8},
}
"""Key of a saved configuration -> what a hostile one has there."""

OVERRIDES = [
    "environment.id=evilmod:X-v0",
    "+callbacks.evil._target_=evilmod.Own",
    "+hydra.callbacks.watch._target_=evilmod.Watch",
    "hydra.searchpath=[pkg://evilmod]",
    "environment._target_=lightning_dqn.system.files.os.system",
    "name=${oc.env:OF_A_TEST}",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile") / "run"
    small_run(folder)
    return folder


@pytest.fixture
def canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Canary:
    monkeypatch.setenv("OF_A_TEST", "secret value")
    return make_canary(tmp_path, monkeypatch)


def refused(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command and return the one line by which it was refused."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(line.split())
    printed = capsys.readouterr()
    assert ended.value.code == 2, line
    assert printed.out == ""
    assert printed.err.count("\n") == 1, printed.err
    assert printed.err.startswith("lightning-dqn: ")
    assert "secret value" not in printed.err
    return printed.err


@pytest.mark.parametrize("key", CALLS)
def test_no_command_runs_what_a_saved_configuration_names(
    key: str, run: Path, canary: Canary, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = changed_run(run, canary.folder / "sent", {key: CALLS[key]})
    for line in ("evaluate", "watch --text", "record output=out"):
        assert key in refused(f"{line} {sent}", capsys)
    with pytest.raises(ConfigError, match=key.replace(".", r"\.")):
        FinishedRun.find(sent).environment()
    main(f"export {sent} output=out.npz".split())  # it asks the configuration nothing
    assert not canary.sang
    assert not (canary.folder / "out").exists()


@pytest.mark.parametrize("override", OVERRIDES)
def test_neither_resume_nor_a_study_replays_hostile_overrides(
    override: str, run: Path, canary: Canary, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = changed_run(run, canary.folder / "sent", {}, override)
    before = sorted(sent.rglob("*"))
    refused(f"resume={sent} trainer.max_epochs=3", capsys)
    study = canary.folder / "study"
    study.mkdir()
    asked = {"name": "x", "arguments": [override], "seeds": [0]}
    (study / "study.json").write_text(json.dumps(asked))
    refused(f"study {study}", capsys)
    assert not canary.sang
    assert sorted(sent.rglob("*")) == before
    assert [path.name for path in study.iterdir()] == ["study.json"]


def test_what_overrides_put_together_is_refused_after_composing(
    run: Path, canary: Canary, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = ("name=':'", "environment.id=evilmod${name}X-v0")
    sent = changed_run(run, canary.folder / "sent", {}, *overrides)
    assert "environment.id=evilmod:X-v0" in refused(f"resume={sent}", capsys)
    study = canary.folder / "study"
    study.mkdir()
    asked = {"name": "x", "arguments": list(overrides), "seeds": [0]}
    (study / "study.json").write_text(json.dumps(asked))
    assert "environment.id=evilmod:X-v0" in refused(f"study {study}", capsys)
    assert not canary.sang


@pytest.mark.parametrize("provider", ["command-line", "main"])
def test_a_folder_of_configuration_that_a_run_names_is_not_read(
    provider: str, run: Path, canary: Canary, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = changed_run(run, canary.folder / "sent", {}, "+experiment=evil")
    (sent / "experiment").mkdir()
    (sent / "experiment" / "evil.yaml").write_text(
        "# @package _global_\ncallbacks: {evil: {_target_: evilmod.Own}}\n"
    )
    source = {"path": str(sent), "schema": "file", "provider": provider}
    hydra = {"runtime": {"config_sources": [source]}, "job": {"config_name": "config"}}
    OmegaConf.save(OmegaConf.create({"hydra": hydra}), sent / ".hydra" / "hydra.yaml")
    refused(f"resume={sent}", capsys)
    assert not canary.sang


HYPERPARAMETERS: dict[str, Any] = {
    "environment": "evilmod:X-v0",
    "network": "evilmod:Net",
    "head": "evilmod:Net",
    "target": "evilmod:Net",
}


@pytest.mark.parametrize("name", HYPERPARAMETERS)
def test_no_command_imports_what_a_checkpoint_names(
    name: str, run: Path, canary: Canary, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    checkpoint["hyper_parameters"][name] = HYPERPARAMETERS[name]
    torch.save(checkpoint, path := canary.folder / "sent.ckpt")
    if name != "target":  # which an agent doesn't have
        for line in ("export output=out.npz", "play game=tictactoe --terminal"):
            refused(f"{line} {path}", capsys)
    for line in ("evaluate", "watch --text", "record output=out"):
        refused(f"{line} {path}", capsys)
    refused(f"import {path} output=out", capsys)
    with pytest.raises(ValueError, match=f"{name}="):
        DQN.load_from_checkpoint(path)
    assert not canary.sang


def test_a_report_of_hostile_studies_runs_nothing(
    canary: Canary, capsys: pytest.CaptureFixture[str]
) -> None:
    study = canary.folder / "study"
    study.mkdir()
    (study / "results.json").write_text(json.dumps({"name": "evilmod:X", "command": "x"}))
    refused(f"study report={study}", capsys)
    assert not canary.sang


def test_a_module_of_ones_own_works_where_it_is_trusted(canary: Canary, tmp_path: Path) -> None:
    own = ("environment.id=evilmod:X-v0", "+callbacks.own._target_=evilmod.Own")
    made = command(*own, *SHORT, "name=own", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    [run] = (tmp_path / "runs" / "own").iterdir()
    told = {line.split()[0]: line for line in made.stdout.splitlines() if line.startswith("  ")}
    assert told["evaluate"].endswith(f"evaluate {run.relative_to(tmp_path)} trust=evilmod")
    assert told["continue"].endswith(" trainer.max_epochs=N trust=evilmod")
    canary.path.unlink()
    for line in (f"evaluate {run} num_envs=1 episodes_per_env=1", f"resume={run}"):
        once_more = (*line.split(), *(["trainer.max_epochs=2"] if "resume" in line else []))
        alone = command(*once_more, cwd=tmp_path)
        assert (alone.returncode, canary.path.exists()) == (2, False), alone.stderr
        trusted = command(*once_more, "trust=evilmod", cwd=tmp_path)
        assert (trusted.returncode, canary.path.exists()) == (0, True), trusted.stderr
        canary.path.unlink()
