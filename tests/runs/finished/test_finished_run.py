"""A run that was made before, named by its folder or by a checkpoint in it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from support.short_runs import small_run

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.finished import finished_run
from lightning_dqn.runs.finished.evaluate import test_seed as seed_of_test
from lightning_dqn.runs.finished.finished_run import FinishedRun
from lightning_dqn.runs.secrets import without_secrets
from lightning_dqn.runs.trust import Trust


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished") / "a run=1"
    small_run(folder)
    return folder


@pytest.mark.parametrize(
    ("named", "weights"),
    [
        (".", "."),
        ("module.safetensors", "."),
        ("checkpoints", "."),
        ("checkpoints/best.ckpt", "checkpoints/best.ckpt"),
        ("checkpoints/last.ckpt", "checkpoints/last.ckpt"),
    ],
)
def test_a_run_is_named_by_its_folder_or_a_file_in_it(named: str, weights: str, run: Path) -> None:
    found = FinishedRun.find(run / named)
    assert found.folder is not None
    assert found.folder.resolve() == run.resolve()
    assert found.weights.resolve() == (run / weights).resolve()
    assert found.config().name == "small"
    assert found.environment().name == "CartPole-v1"
    assert not found.agent().training


def test_counters_and_test_return_are_those_of_the_weights(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    path = tmp_path / "run" / "summary.json"
    summary = json.loads(path.read_text())
    best, last = (
        FinishedRun.find(tmp_path / "run" / "checkpoints" / f"{name}.ckpt").counters()
        for name in ("best", "last")
    )
    assert best["env_steps"] == summary["tested_env_steps"]
    assert last == {name: summary[name] for name in ("updates", "env_steps")}
    whole = FinishedRun.find(tmp_path / "run")
    assert (whole.counters(), whole.test_return()) == (best, summary["episode_return"])
    # As of a run whose best checkpoint was tested, long before its end.
    path.write_text(json.dumps({**summary, "env_steps": 999, "updates": 99}))
    assert (whole.counters(), whole.test_return()) == (best, summary["episode_return"])
    path.write_text(json.dumps({**summary, "tested_env_steps": 17}))
    assert (whole.counters(), whole.test_return()) == ({}, summary["episode_return"])
    checkpoint = FinishedRun.find(tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert (checkpoint.counters(), checkpoint.test_return()) == (last, None)
    path.write_text("[]")
    assert (whole.counters(), whole.test_return()) == ({}, None)


@pytest.mark.parametrize("named", ["module.safetensors", "checkpoints/last.ckpt"])
def test_weights_and_configuration_are_read_once(
    named: str, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[tuple[str, Path]] = []

    def counted(name: str) -> Any:
        read = getattr(finished_run, name)
        return lambda path, *rest: reads.append((name, path)) or read(path, *rest)

    for name in ("read_saved", "read_configuration", "verify"):
        monkeypatch.setattr(finished_run, name, counted(name))
    found = FinishedRun.find(run / named)
    agents = [found.agent_for(found.environment()), found.agent()]
    assert found.env_steps() == found.counters()["env_steps"]
    found.test_return(), found.game(), seed_of_test(found)
    configuration = found.folder / ".hydra" / "config.yaml"
    assert reads.count(("read_saved", found.weights)) == 1
    assert reads.count(("read_configuration", configuration)) == 1
    assert reads.count(("verify", configuration)) == 1
    assert len(reads) == len(set(reads))
    with torch.no_grad():
        next(agents[0].parameters()).add_(1)
    for one, again in zip(agents[1].parameters(), found.agent().parameters(), strict=True):
        assert torch.equal(one, again), "no agent shares tensors with another"


def test_who_changes_a_configuration_changes_a_copy(run: Path) -> None:
    found = FinishedRun.find(run)
    config = found.config()
    config.seed, config.module.network = 99, None
    assert found.config().seed != 99
    assert found.agent().spec.num_actions == 2
    assert found == FinishedRun.find(run)


@pytest.mark.parametrize("left", ["best.ckpt", "last.ckpt"])
def test_of_an_interrupted_run_a_checkpoint_stands_for_the_weights(
    left: str, run: Path, tmp_path: Path
) -> None:
    interrupted = tmp_path / "run"
    shutil.copytree(run, interrupted)
    (interrupted / "module.safetensors").unlink()
    if left == "last.ckpt":
        (interrupted / "checkpoints" / "best.ckpt").unlink()
    found = FinishedRun.find(interrupted)
    assert found.weights == interrupted / "checkpoints" / left
    saved = torch.load(found.weights, weights_only=True)["state_dict"]
    for name, tensor in found.agent().state_dict().items():
        assert torch.equal(tensor, saved[f"agent.{name}"])


def test_the_generation_before_stands_for_a_checkpoint_that_is_gone(
    run: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "run"
    shutil.copytree(run, broken)
    (broken / "module.safetensors").unlink()
    (broken / "checkpoints" / "best.ckpt").rename(broken / "checkpoints" / "best.previous.ckpt")
    for named in (broken, broken / "checkpoints" / "best.ckpt"):
        with pytest.warns(UserWarning, match=r"best\.previous\.ckpt, is taken"):
            assert FinishedRun.find(named).agent().spec.num_actions == 2


def test_a_checkpoint_outside_of_a_run_has_an_agent_and_no_environment(
    run: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "alone.ckpt"
    shutil.copy(run / "checkpoints" / "last.ckpt", alone)
    found = FinishedRun.find(alone)
    assert found.agent().spec.num_actions == 2
    with pytest.raises(ConfigError, match=r"alone\.ckpt: .*config\.yaml is missing beside it"):
        found.environment()


def test_what_is_no_run_is_refused_with_what_it_is(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^run=nowhere: there is no such file or folder"):
        FinishedRun.find("nowhere")
    with pytest.raises(ConfigError, match=r"config\.yaml is missing, so this is not the folder"):
        FinishedRun.find(tmp_path)
    with pytest.raises(ConfigError, match=r"holds several runs; name one, as .*a run=1"):
        FinishedRun.find(run.parent)
    bare = tmp_path / "bare"
    shutil.copytree(run / ".hydra", bare / ".hydra")
    with pytest.raises(ConfigError, match=r"neither module\.safetensors nor a checkpoint yet"):
        FinishedRun.find(bare)


def test_a_schedule_over_the_whole_run_can_be_told_in_a_process_that_composed_nothing(
    run: Path, tmp_path: Path
) -> None:
    shutil.copytree(run / ".hydra", tmp_path / ".hydra")
    config = OmegaConf.load(run / ".hydra" / "config.yaml")
    config.module.lr_scheduler = {"total_iters": "${total_iterations:}"}
    OmegaConf.save(config, tmp_path / ".hydra" / "config.yaml")
    OmegaConf.clear_resolver("total_iterations")
    told = without_secrets(FinishedRun(tmp_path, tmp_path).config())
    assert told["module"]["lr_scheduler"] == {"total_iters": 4}


OWN_NETWORK = """
from torch import nn

class Net(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 2))
    def forward(self, observation):
        return self.layers(observation)
"""


def test_a_network_of_the_users_own_is_built_anew_from_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_net_of_a_test.py").write_text(OWN_NETWORK)
    monkeypatch.syspath_prepend(tmp_path)
    run = tmp_path / "run"
    network = "{_target_: my_net_of_a_test.Net, width: 7}"
    small_run(run, "~module.network", f"+module.network={network}", network=None)
    with pytest.raises(ConfigError, match=r"my_net_of_a_test\.Net: .* trust=my_net_of_a_test "):
        FinishedRun.find(run).agent()
    agent = FinishedRun.find(run, Trust.of("my_net_of_a_test")).agent()
    assert agent.q_network.layers[0].out_features == 7
    lone = tmp_path / "lone.ckpt"
    shutil.copy(run / "checkpoints" / "last.ckpt", lone)
    with pytest.raises(
        ConfigError, match=r"its network Net is code of your own, .* in Python: DQN"
    ):
        FinishedRun.find(lone).agent()
