"""What 0.1 made and called otherwise still works: modules, commands, words, arguments, files."""

from __future__ import annotations

import csv
import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from support.processes import command

from lightning_dqn import DQN, CollectionConfig
from lightning_dqn.formats.saved import load_agent, read_saved
from lightning_dqn.former_names import ALGORITHMS, COMMANDS, MOVED, WORDS, former_words
from lightning_dqn.learning.targets import Munchausen, Target
from lightning_dqn.networks.torsos import MLP
from lightning_dqn.runs.compose import compose

RUNS = Path(__file__).parent / "support" / "former_runs"
"""Small runs of 0.1: their folders, weights and last checkpoints."""
EXPECTED = json.loads((RUNS / "expected.json").read_text())
"""Run -> observations and the values that 0.1 gave them."""

NAMES = {
    "agent": "Agent",
    "callbacks.torso_units": "find_units",
    "collector": "CollectionConfig",
    "datamodule": "ReplayDataModule",
    "environments": "EnvironmentFactory",
    "episodes": "play_episodes",
    "games.board_environment": "BoardGameVectorEnv",
    "games.opponents": "opponent_of",
    "heads": "CategoricalHead",
    "loggers": "csv_logger",
    "model_ops": "ema",
    "module": "DQN",
    "networks": "mlp",
    "replay": "ReplayBuffer",
    "replay_storage": "ReplayConfig",
    "report": "Report",
    "sampling": "PrioritizedSampling",
    "study": "run_study",
    "table": "table",
    "training": "prepare",
    "weights": "load_weights",
}
"""Module of 0.1 -> a name that it had."""


# --- modules


@pytest.mark.parametrize("module", sorted(set(NAMES) - {"agent"}))
def test_a_name_is_found_in_its_former_module_with_a_word_of_the_new_one(module: str) -> None:
    name = NAMES[module]
    former = importlib.import_module(f"lightning_dqn.{module}")
    with pytest.warns(FutureWarning, match=rf"lightning_dqn.{module}.{name} is now .*\.{name}; "):
        found = getattr(former, name)
    assert found.__module__ != f"lightning_dqn.{module}"
    assert found is getattr(importlib.import_module(found.__module__), name)


@pytest.mark.parametrize("module", sorted(MOVED))
def test_every_former_module_can_be_imported_and_has_a_place(module: str) -> None:
    former = importlib.import_module(f"lightning_dqn.{module}")
    assert "__getattr__" in vars(former), "a package of that name hides it"
    for place in MOVED[module].split():
        importlib.import_module(f"lightning_dqn.{place}")


def test_a_name_that_never_was_is_no_attribute_of_a_former_module() -> None:
    former = importlib.import_module("lightning_dqn.module")
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = former.nothing
    with pytest.raises(ImportError):
        importlib.import_module("lightning_dqn.never_was")


def test_a_library_that_a_module_imports_is_no_former_name_of_it() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'torch'"):
        _ = importlib.import_module("lightning_dqn.replay").torch
    with pytest.raises(AttributeError, match="has no attribute 'Tensor'"):
        _ = importlib.import_module("lightning_dqn.module").Tensor


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("learning.update", "LossOutput"),
        ("networks.operations", "align"),
        ("networks.operations", "clip"),
        ("networks.operations", "clip_bound"),
        ("networks.operations", "in_evaluation_mode"),
        ("networks.operations", "kept_buffers"),
        ("networks.operations", "layers_with_weights"),
        ("networks.operations", "redrawn"),
        ("networks.operations", "reset"),
        ("networks.operations", "spectral_norms"),
    ],
)
def test_a_name_of_the_pages_of_0_2_is_where_it_was(module: str, name: str) -> None:
    found = getattr(importlib.import_module(f"lightning_dqn.{module}"), name)
    assert found.__module__ != f"lightning_dqn.{module}"


def test_new_names_say_nothing() -> None:
    code = "import lightning_dqn.networks.torsos, lightning_dqn.replay.ring, lightning_dqn.dqn"
    result = subprocess.run(
        [sys.executable, "-W", "error::FutureWarning", "-c", code], capture_output=True, text=True
    )
    assert (result.returncode, result.stderr) == (0, "")


# --- commands


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_answers_to_its_former_name_with_a_word_of_the_new_one(
    name: str, tmp_path: Path
) -> None:
    result = command("--help", cwd=tmp_path, module=f"lightning_dqn.{name}")
    assert result.returncode == 0, result.stderr
    now = {"import_weights": "import"}.get(name, name)
    told = f"python -m lightning_dqn.{name} is now python -m lightning_dqn {now}"
    assert result.stderr == f"lightning-dqn: {told}; the old one goes with 0.3\n"
    assert f"python -m lightning_dqn {now} " in result.stdout


# --- words of a configuration


@pytest.mark.parametrize(
    ("former", "now"),
    [
        ("module=rainbow", "algorithm=rainbow"),
        ("module=dqn,c51", "algorithm=dqn,c51"),
        ("module=default", "module=default"),
        ("module=mine", "module=mine"),
        ("module.double=false", "module.target.double=false"),
        ("module.target_network=false", "module.target.slow_copy=false"),
        ("module.target.double=false", "module.target.double=false"),
        ("module.noisy_sigma=0.1", "module.network.noisy_sigma=0.1"),
        ("module/munchausen=default", "module/target/munchausen=default"),
        ("module.munchausen.alpha=0.5", "module.target.munchausen.alpha=0.5"),
        ("value_range.min=-3", "hints.value_range.min=-3"),
        ("++td_error=mse", "++hints.td_error=mse"),
        ("alpha=0.5", "hints.step_size=0.5"),
        ("data.sampler.alpha=0.5", "data.sampler.alpha=0.5"),
        ("data.collection.epsilon_greedy=false", "data.collection.random_actions=false"),
        ("-m", "-m"),
        ("trainer.max_epochs=3", "trainer.max_epochs=3"),
    ],
)
def test_a_former_word_is_taken_for_what_it_is_called_now(former: str, now: str) -> None:
    words, told = former_words([former])
    assert words == [now]
    expected = [] if former == now else [f"{former} is now {now}; the old word goes with 0.3"]
    assert told == expected


def test_every_former_word_names_a_key_that_is_there() -> None:
    config = compose(["module/target/munchausen=default"])
    for new in WORDS.values():
        node: Any = config
        for part in new.replace("/", ".").split("."):
            assert part in node, new
            node = node[part]


OWN_EXPERIMENT = """\
# @package _global_
defaults:
  - override /module: rainbow
  - _self_
name: mine
value_range: {min: -3.0, max: 50.0}
module:
  double: false
  layer_norm: true
  network:
    hidden: [8]
data:
  env_steps_per_epoch: 128
  collection:
    warmup_env_steps: 64
    epsilon_greedy: false
  evaluation: {num_envs: 2, test_episodes_per_env: 1}
trainer: {accelerator: cpu, max_epochs: 1}
"""


def test_an_experiment_of_a_users_own_in_former_words_trains(tmp_path: Path) -> None:
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "mine.yaml").write_text(OWN_EXPERIMENT)
    result = command("+experiment=mine", "hydra.run.dir=run", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    made = read_saved(tmp_path / "run").hyperparameters
    assert made["head"]["CategoricalHead"]["v_min"] == -3.0
    assert made["target"]["double"] is False
    assert [made["network"][name] for name in ("noisy", "dueling", "layer_norm")] == [True] * 3


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_former_preset_composes_what_the_algorithm_does(algorithm: str, tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    own = f"# @package _global_\ndefaults:\n  - override /module: {algorithm}\n  - _self_\n"
    (tmp_path / "experiment" / "mine.yaml").write_text(own)
    assert compose(["+experiment=mine"], config_dir=str(tmp_path)) == compose(
        [f"algorithm={algorithm}"]
    )


# --- arguments


@pytest.mark.filterwarnings("ignore:DQN:FutureWarning")
def test_former_arguments_of_dqn_are_laid_over_network_and_target() -> None:
    former = {"double": False, "dueling": True, "noisy_sigma": 0.1, "munchausen": Munchausen(0.5)}
    module = DQN("CartPole-v1", network=[{"Linear": 8}, "ReLU"], **former)
    network = module.hparams["network"]
    assert network["layers"] == [{"Linear": 8}, "ReLU"]
    assert (network["dueling"], network["noisy"], network["noisy_sigma"]) == (True, False, 0.1)
    assert module.target == Target(double=False, munchausen=Munchausen(0.5))
    same = DQN("CartPole-v1", network=MLP(hidden=[8], dueling=True), layer_norm=True)
    assert same.hparams["network"]["layer_norm"] is same.hparams["network"]["dueling"] is True


def test_a_former_argument_shapes_the_network_that_is_built_by_itself() -> None:
    with pytest.warns(
        FutureWarning, match=r"DQN\(dueling=\.\.\.\) is now DQN\(network=MLP\(dueling="
    ):
        module = DQN("CartPole-v1", dueling=True)
    today = DQN("CartPole-v1", network=MLP(dueling=True))
    assert module.hparams["network"] == today.hparams["network"]


def test_a_former_argument_of_the_target_is_told_with_its_new_name() -> None:
    with pytest.warns(FutureWarning) as told:
        module = DQN("CartPole-v1", double=False, target_network=False)
    assert {one.filename for one in told} == {__file__}
    assert [str(one.message).partition(";")[0] for one in told] == [
        "DQN(double=...) is now DQN(target=Target(double=...))",
        "DQN(target_network=...) is now DQN(target=Target(slow_copy=...))",
    ]
    assert module.target == Target(double=False, slow_copy=False)


def test_an_argument_that_never_was_is_refused() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'duelling'"):
        DQN("CartPole-v1", duelling=True)


def test_epsilon_greedy_is_random_actions() -> None:
    with pytest.warns(FutureWarning, match="epsilon_greedy is now random_actions"):
        assert CollectionConfig(epsilon_greedy=False).random_actions is False


# --- files


@pytest.mark.parametrize("run", sorted(EXPECTED))
def test_weights_and_checkpoints_of_0_1_give_the_values_that_they_gave(run: str) -> None:
    expected = EXPECTED[run]
    observation = torch.tensor(expected["observation"])
    found = load_agent(RUNS / run).q_values(observation)
    torch.testing.assert_close(found, torch.tensor(expected["q_values"]))
    last = RUNS / run / "checkpoints" / "last.ckpt"
    values = torch.tensor(expected["q_values_of_last"])
    torch.testing.assert_close(load_agent(last).q_values(observation), values)
    module = DQN.load_from_checkpoint(last)
    torch.testing.assert_close(module.q_values(observation), values)
    assert module.agent.evaluation_network == expected["evaluation_network"]
    counters = {"updates": module.updates, "env_steps": module.env_steps}
    assert counters == read_saved(last).counters
    assert counters == {name: expected[name] for name in ("updates", "env_steps")}


def test_hyperparameters_of_0_1_build_the_same_module() -> None:
    module = DQN.load_from_checkpoint(RUNS / "m_iqn" / "checkpoints" / "last.ckpt")
    assert module.target == Target(double=False, munchausen=Munchausen())
    assert module.hparams["network"]["layer_norm"] is True
    rainbow = DQN.load_from_checkpoint(RUNS / "rainbow" / "checkpoints" / "last.ckpt")
    assert rainbow.target == Target(double=True)
    assert rainbow.hparams["network"]["noisy"] is rainbow.hparams["network"]["dueling"] is True
    table = DQN.load_from_checkpoint(RUNS / "table" / "checkpoints" / "last.ckpt")
    assert table.target == Target(double=False, slow_copy=False)


@pytest.mark.parametrize("run", sorted(EXPECTED))
def test_a_run_of_0_1_is_evaluated_exported_and_continued(run: str, tmp_path: Path) -> None:
    shutil.copytree(RUNS / run, tmp_path / run)
    episodes = ("num_envs=2", "episodes_per_env=1")
    result = command("evaluate", f"run={run}", *episodes, cwd=tmp_path)
    assert "over 2 episodes" in result.stdout, result.stderr
    export = (f"checkpoint={run}/checkpoints/last.ckpt", "output=it.safetensors", "keys=own")
    result = command("export", *export, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    rows = csv_rows(tmp_path / run / "metrics.csv")
    rows = [row for row in rows if not any(row[name] for name in row if name.startswith("test/"))]
    result = command(f"resume={run}", "trainer.max_epochs=3", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    kept = csv_rows(tmp_path / run / "metrics.csv")[: len(rows)]
    assert [{name: row[name] for name in rows[0]} for row in kept] == rows
    went_on = read_saved(tmp_path / run / "checkpoints" / "last.ckpt").counters
    assert went_on["updates"] > EXPECTED[run]["updates"]


def csv_rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_run_of_0_1_is_played_against(tmp_path: Path) -> None:
    shutil.copytree(RUNS / "self_play", tmp_path / "run")
    result = command("play", "checkpoint=run", "terminal=true", cwd=tmp_path)
    assert "tictactoe: you are X" in result.stdout, result.stderr
