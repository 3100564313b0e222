"""Models that W&B keeps: fetched, looked at as any file that somebody sent, and evaluated."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.short_runs import small_run
from support.wandb_records import config, history, read_records
from support.wandb_server import KEY, WandbServer, wandb_server
from support.wandb_session import end_session, wandb_session

from lightning_dqn.commands.main import main
from lightning_dqn.reporting.wandb_artifacts import MODEL
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.finished.finished_run import FinishedRun
from lightning_dqn.runs.resume import CONFIGURATION

NAMED = "wandb:e/p/model-abc:v0"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "trained"
    small_run(folder, "trainer.max_epochs=1", "test=false")
    return folder


class _Artifact:
    """What W&B's library makes of an artifact that a run with ``log_model`` left."""

    def __init__(self, run: Path) -> None:
        self.sources = {MODEL: run / "checkpoints" / "best.ckpt"}
        self.sources[str(CONFIGURATION)] = run / CONFIGURATION
        self.refs: dict[str, str] = {}
        self.asked: list[str] = []

    @property
    def manifest(self) -> Any:
        entries = {name: SimpleNamespace(ref=self.refs.get(name)) for name in self.sources}
        return SimpleNamespace(entries=entries)

    def download(self) -> str:
        for name, source in self.sources.items():
            path = Path("artifacts", "model-abc:v0", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, path)
        return "artifacts/model-abc:v0"


@pytest.fixture
def session(tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    with wandb_session(tmp_path / "home") as patch, wandb_server(WandbServer()) as server:
        patch.chdir(tmp_path)
        patch.setenv("WANDB_BASE_URL", server.url)
        patch.setenv("WANDB_API_KEY", KEY)
        yield patch


@pytest.fixture
def kept(session: pytest.MonkeyPatch, trained: Path) -> _Artifact:
    """An artifact behind W&B's API."""
    import wandb

    artifact = _Artifact(trained)

    def api(*, api_key: str, timeout: int) -> Any:
        assert api_key == KEY
        return SimpleNamespace(artifact=lambda name: artifact.asked.append(name) or artifact)

    session.setattr(wandb, "Api", api)
    return artifact


def test_a_model_in_wandb_is_a_run(kept: _Artifact, trained: Path) -> None:
    found = FinishedRun.find(NAMED)
    assert kept.asked == ["e/p/model-abc:v0"]
    assert found.weights == Path("artifacts", "model-abc:v0", MODEL)
    assert found.config().seed == FinishedRun.find(trained).config().seed
    assert found.agent_for(found.environment()).spec == FinishedRun.find(trained).agent().spec


def test_a_model_in_wandb_is_read_as_a_file_that_somebody_sent(kept: _Artifact) -> None:
    bad = Path("bad.yaml")
    text = kept.sources[str(CONFIGURATION)].read_text()
    bad.write_text(text.replace("id: CartPole-v1", "id: evil_of_a_test:Thing-v0"))
    kept.sources[str(CONFIGURATION)] = bad
    with pytest.raises(ConfigError, match="imports evil_of_a_test"):
        FinishedRun.find(NAMED).environment()
    damaged = Path("damaged.ckpt")
    content = bytearray(kept.sources[MODEL].read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    kept.sources[MODEL] = damaged
    with pytest.raises(ValueError, match=MODEL):
        FinishedRun.find(NAMED).agent()


@pytest.mark.parametrize("name", ["../../outside", "/outside", "a\\..\\b"])
def test_files_that_would_lie_outside_are_not_fetched(name: str, kept: _Artifact) -> None:
    kept.sources[name] = kept.sources[MODEL]
    with pytest.raises(ConfigError, match="would lie outside of its folder"):
        FinishedRun.find(NAMED)
    assert not Path("artifacts").exists()


def test_files_that_are_kept_elsewhere_are_not_fetched(kept: _Artifact) -> None:
    kept.refs[MODEL] = "file:///etc/hostname"
    with pytest.raises(ConfigError, match="kept elsewhere"):
        FinishedRun.find(NAMED)
    assert not Path("artifacts").exists()


def test_what_can_not_be_had_is_told_in_one_line(session: pytest.MonkeyPatch) -> None:
    import wandb

    def missing(**_: Any) -> Any:
        raise wandb.errors.CommError("artifact membership not found\nin the server")

    session.setattr(wandb, "Api", missing)
    with pytest.raises(ConfigError, match=f"run={NAMED}: artifact membership not found; expected"):
        FinishedRun.find(NAMED)
    session.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    end_session()
    with pytest.raises(ConfigError, match="cannot be reached"):
        FinishedRun.find(NAMED)
    session.delenv("WANDB_API_KEY")
    end_session()
    with pytest.raises(ConfigError, match="WANDB_API_KEY"):
        FinishedRun.find(NAMED)


def test_an_evaluation_is_a_run_of_its_own_beside_its_training(
    session: pytest.MonkeyPatch, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session.setenv("WANDB_MODE", "offline")
    few = ["num_envs=2", "episodes_per_env=2", "--json", "logger=wandb"]
    main(["evaluate", str(trained / "checkpoints" / "last.ckpt"), *few])
    end_session()
    outcome = json.loads(capsys.readouterr().out)
    [directory] = (trained / "wandb").glob("offline-run-*")
    records = read_records(directory)
    [first, *_] = [record.run for record in records if record.HasField("run")]
    assert (first.job_type, first.run_group) == ("evaluate", "small")
    assert first.display_name == "evaluate small seed=0"
    [row] = history(records)
    assert row["test/episode_return"] == outcome["mean"]
    assert (row["test/episodes"], row["test/episodes_cut"]) == (4, 0)
    lengths = [one["length"] for one in outcome["episodes"]]
    assert row["test/episode_length"] == sum(lengths) / 4
    assert row["time/env_steps"] > 100
    assert config(records)["environment"]["id"] == "CartPole-v1"
    [artifact] = [record.artifact for record in records if record.HasField("artifact")]
    assert artifact.type == "evaluation"
    assert [entry.path for entry in artifact.manifest.contents] == ["evaluation.json"]
