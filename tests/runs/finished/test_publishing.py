"""A folder to publish: what is in it, that it is whole, and what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from omegaconf import OmegaConf
from support.hostile_files import make_canary
from support.short_runs import small_run

import lightning_dqn
from lightning_dqn.collecting.evaluation import Evaluator
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.finished import publishing
from lightning_dqn.runs.finished.evaluate import evaluate
from lightning_dqn.runs.finished.finished_run import FinishedRun
from lightning_dqn.runs.finished.publishing import Published, publish
from lightning_dqn.runs.trust import Trust
from lightning_dqn.safekeeping.checksums import sha256_of

FILES = {"README.md", "config.yaml", "model.json", "model.safetensors", "results.json"}
ONNX = {"model.onnx", "model.onnx.json"}


def published(run: Path, output: Path, *, trust: str = "", **options: Any) -> Published:
    little = {"episodes": 4, "video": False, "onnx": False}
    return publish(FinishedRun.find(run, Trust.of(trust)), output, **{**little, **options})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published") / "run"
    small_run(folder, "notes=mine")
    return folder


@pytest.fixture(scope="module")
def folder(run: Path) -> Path:
    """The folder of the run, published with all that there can be."""
    return published(run, run.parent / "card", video=None, onnx=None).folder


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(folder, tmp_path / "copied")
    return tmp_path / "copied"


def test_the_folder_holds_weights_configuration_results_video_and_card(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == FILES | ONNX | {"replay.mp4"}
    assert not [path for path in folder.parent.iterdir() if path.name.endswith(".tmp")]
    assert b"ftyp" in (folder / "replay.mp4").read_bytes()[:16]


def test_its_agent_is_the_network_of_the_run_that_acts(run: Path, folder: Path) -> None:
    expected = lightning_dqn.load(run)
    found = lightning_dqn.load(folder)
    assert not found.training
    assert (expected.copies, found.copies) == (["target_network"], [])
    for name, tensor in expected.q_network.state_dict().items():
        assert torch.equal(found.q_network.state_dict()[name], tensor)
    observation = torch.linspace(-1, 1, 12).reshape(3, 4)
    assert torch.equal(found.q_values(observation), expected.q_values(observation))


def test_the_cards_numbers_are_those_of_the_episodes_played_from_it(folder: Path) -> None:
    results = json.loads((folder / "results.json").read_text())
    told = results["evaluation"]
    episodes = evaluate(FinishedRun.find(folder), num_envs=4, episodes_per_env=1).episodes
    returns = [episode.episode_return for episode in episodes]
    assert told["mean_reward"] == pytest.approx(sum(returns) / 4)
    assert told["episodes"] == 4
    text = (folder / "README.md").read_text()
    assert "The numbers are of an evaluation made when this folder was written" in text
    top = yaml.safe_load(text.split("---\n")[1])
    [result] = top["model-index"][0]["results"]
    value = f"{told['mean_reward']:.2f} +/- {told['std_reward']:.2f}"
    assert result["metrics"][0]["value"] == value
    assert result["dataset"]["type"] == "CartPole-v1"
    assert results["training"]["env_steps"] == 322


def test_a_number_of_episodes_that_environments_cant_share_is_still_played(
    run: Path, tmp_path: Path
) -> None:
    found = published(run, tmp_path / "card", episodes=11)
    assert found.facts.evaluation.episodes == 11


def test_no_episodes_means_the_runs_own_test(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Evaluator, "play", None)
    summary = json.loads((run / "summary.json").read_text())
    found = published(run, tmp_path / "card", episodes=0).facts.evaluation
    assert found.told == "the test that the run ended with"
    assert found.mean_reward == summary["episode_return"]
    assert found.episodes == summary["episodes"] == 4
    last = run / "checkpoints" / "last.ckpt"
    with pytest.raises(ConfigError, match=r"^episodes=0: the run's test isn't of .*last\.ckpt"):
        published(last, tmp_path / "other", episodes=0)


def test_a_checkpoint_is_published_with_its_own_env_steps(run: Path, tmp_path: Path) -> None:
    found = published(run / "checkpoints" / "last.ckpt", tmp_path / "card")
    assert found.facts.training.weights == "of env step 322"
    description = json.loads((tmp_path / "card" / "model.json").read_text())
    assert description["counters"] == {"updates": 32, "env_steps": 322}


def test_every_file_but_the_card_has_its_checksum(folder: Path) -> None:
    sums = json.loads((folder / "model.json").read_text())["sha256"]
    others = {path.name for path in folder.iterdir()} - {"README.md", "model.json"}
    assert set(sums) == others
    assert all(sha256_of(folder / name) == found for name, found in sums.items())


@pytest.mark.parametrize("name", ["model.safetensors", "config.yaml"])
def test_a_damaged_file_is_refused_by_its_checksum(name: str, copied: Path) -> None:
    content = bytearray((copied / name).read_bytes())
    content[-2] ^= 1
    (copied / name).write_bytes(bytes(content))
    run = FinishedRun.find(copied)
    with pytest.raises(ValueError, match=rf"{name}: differs from its checksum in model\.json"):
        run.agent_for(run.environment())


@pytest.mark.parametrize("name", ["model.safetensors", "model.json"])
def test_a_missing_file_is_told_by_its_name(name: str, copied: Path) -> None:
    (copied / name).unlink()
    with pytest.raises(ConfigError, match=rf"{name} is missing in this published folder"):
        lightning_dqn.load(copied)


def test_the_folder_or_its_weights_name_it(folder: Path) -> None:
    for path in (folder, folder / "model.safetensors"):
        found = FinishedRun.find(path)
        assert found.folder is not None
        assert found.environment().name == "CartPole-v1"


def test_weights_of_that_name_in_a_runs_folder_dont_make_it_a_published_one(
    run: Path, tmp_path: Path
) -> None:
    shutil.copytree(run, tmp_path / "run")
    for name in ("model.safetensors", "model.json"):
        (tmp_path / "run" / name).write_text("of another program")
    found = FinishedRun.find(tmp_path / "run")
    assert found.config().name == "small"
    assert found.agent().spec.num_actions == 2


OFFLINE = """
import sys

def refuse(event, arguments):
    if event in ("socket.__new__", "socket.connect", "socket.getaddrinfo"):
        raise AssertionError(event)

sys.addaudithook(refuse)

import torch
import lightning_dqn

agent = lightning_dqn.load(sys.argv[1])
torch.save(agent.q_values(torch.load(sys.argv[2])), sys.argv[3])
"""


def test_another_process_without_a_network_loads_the_same_q_values(
    run: Path, copied: Path, tmp_path: Path
) -> None:
    observation = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    torch.save(observation, tmp_path / "observation.pt")
    (copied / "lightning_dqn.py").write_text("raise RuntimeError('code of the folder ran')")
    subprocess.run(
        [sys.executable, "-c", OFFLINE, copied, tmp_path / "observation.pt", tmp_path / "found.pt"],
        check=True,
        timeout=120,
    )
    expected = lightning_dqn.load(run).q_values(observation)
    assert torch.equal(torch.load(tmp_path / "found.pt"), expected)


def test_what_a_folder_names_is_run_only_where_it_is_trusted(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary = make_canary(tmp_path, monkeypatch)
    config = OmegaConf.load(copied / "config.yaml")
    config.environment.id = "evilmod:X-v0"
    OmegaConf.save(config, copied / "config.yaml")
    description = json.loads((copied / "model.json").read_text())
    description["sha256"]["config.yaml"] = sha256_of(copied / "config.yaml")
    (copied / "model.json").write_text(json.dumps(description))
    with pytest.raises(ConfigError, match=r"config\.yaml: environment\.id=.*trust=evilmod"):
        FinishedRun.find(copied).environment()
    assert not canary.sang


def test_no_secret_no_account_and_no_place_of_this_machine_gets_into_it(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_A_TEST", "a value of the environment")
    shutil.copytree(run, tmp_path / "run")
    path = tmp_path / "run" / ".hydra" / "config.yaml"
    config = OmegaConf.load(path)
    config.notes = "${oc.env:OF_A_TEST}"
    config.environment.kwargs = {"render_mode": None}
    config.logger = {"mine": {"entity": "my-account"}}
    config.data.replay.directory = str(tmp_path / "replays")
    config.ckpt_path = str(tmp_path / "last.ckpt")
    OmegaConf.save(config, path)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    summary["overrides"] = [
        "seed=0",
        f"hydra.run.dir={tmp_path}",
        "logger.wandb.entity=my-account",
        "+data.api_key=hf_0123456789abcdef0123456789",
    ]
    (tmp_path / "run" / "summary.json").write_text(json.dumps(summary))
    found = published(tmp_path / "run", tmp_path / "card", trust="oc.env")
    assert found.facts.trust == ("oc.env",)
    assert found.facts.training.overrides == ("seed=0",)
    for one in found.folder.iterdir():
        content = one.read_bytes()
        for secret in (b"a value of the", b"my-account", b"hf_0123", str(tmp_path).encode()):
            assert secret not in content, one.name


OPPONENTS = {
    "a path": ("environment.kwargs.opponent", "+environment.kwargs.opponent={}"),
    "an object": (
        "environment.kwargs.opponent.path",
        "+environment.kwargs.opponent={{_target_:"
        "lightning_dqn.games.opponents.policy.CheckpointOpponent,path:{}}}",
    ),
}


@pytest.mark.parametrize(("key", "override"), OPPONENTS.values(), ids=OPPONENTS)
def test_an_opponent_given_by_its_path_has_to_be_given_elsewhere(
    key: str, override: str, tmp_path: Path
) -> None:
    board, other, me = "environment.id=lightning_dqn/TicTacToe-v0", tmp_path / "other", tmp_path
    small_run(other, board, "data.replay.gamma=-0.9")
    opponents = f"callbacks.matches.opponents=[random,{other}]"
    given = [override.format(other), "+callbacks/matches=default", opponents]
    small_run(me / "run", board, *given)
    path = me / "run" / "summary.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "overrides": [board, *given]}))
    found = published(me / "run", me / "card")
    assert found.facts.evaluation.episodes == 4
    assert found.facts.training.overrides == (board, "+callbacks/matches=default")
    told = f"{key}: a path of the machine that it was trained on; config.yaml has ??? there"
    assert set(found.facts.left_out) == {told, told.replace(key, "callbacks.matches.opponents[1]")}
    for one in found.folder.iterdir():
        assert str(tmp_path).encode() not in one.read_bytes(), one.name
    text = (found.folder / "README.md").read_text()
    assert f"Left out: {told}." in text
    assert f"They refuse it: what {key} named isn't in this folder" in text
    assert lightning_dqn.load(found.folder).spec.game == "tictactoe"
    with pytest.raises(ConfigError, match=rf"^{key}=\?\?\?: a value has to be given$"):
        evaluate(FinishedRun.find(found.folder))


def test_what_depends_on_a_runs_folder_or_length_is_written_as_it_was(
    run: Path, tmp_path: Path
) -> None:
    shutil.copytree(run, tmp_path / "run")
    path = tmp_path / "run" / ".hydra" / "config.yaml"
    config = OmegaConf.load(path)
    config.notes = "over ${total_iterations:}, from ${now:%Y} on"
    config.tags = ["${notes}"]
    OmegaConf.save(config, path)
    published(tmp_path / "run", tmp_path / "card")
    found = OmegaConf.to_container(OmegaConf.load(tmp_path / "card" / "config.yaml"))
    assert isinstance(found, dict)
    assert found["notes"] == config._get_node("notes")._value()
    assert found["tags"] == [found["notes"]]
    assert found["run_dir"] == "${hydra:runtime.output_dir}"
    assert found["callbacks"]["best_checkpoint"]["dirpath"] == "${run_dir}/checkpoints"
    assert found["callbacks"]["live"]["name"] == "small"


def test_the_published_configuration_trains_the_same_again(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "config.yaml", tmp_path / "again.yaml")
    arguments = ("--config-dir=.", "--config-name=again", "hydra.run.dir=again")
    subprocess.run(
        [sys.executable, "-m", "lightning_dqn", *arguments], cwd=tmp_path, check=True, timeout=120
    )
    again, first = (lightning_dqn.load(one).state_dict() for one in (tmp_path / "again", folder))
    assert all(torch.equal(again[name], tensor) for name, tensor in first.items())
    assert (tmp_path / "again" / "checkpoints" / "last.ckpt").is_file()


def test_an_unfinished_run_is_refused(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "summary.json").unlink()
    with pytest.raises(
        ConfigError, match=r"summary\.json is missing, so it isn't finished; resume"
    ):
        published(tmp_path / "run", tmp_path / "card")
    (tmp_path / "run" / "summary.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"summary\.json: not what a run writes at its end"):
        published(tmp_path / "run", tmp_path / "card")
    assert not (tmp_path / "card").exists()


def test_a_folder_that_is_there_is_left_as_it_is(run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(ValueError, match=r"^output=.*: is there already; name another folder"):
        published(run, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_published_folder_isnt_published_again(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"was published already; copy it"):
        published(folder, tmp_path / "card")


def test_a_license_is_an_identifier(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^license=a b: expected an identifier, as mit"):
        published(run, tmp_path / "card", license="a b")


def test_an_untested_run_has_no_numbers_of_its_own(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    summary = json.loads((run / "summary.json").read_text())
    (tmp_path / "run" / "summary.json").write_text(json.dumps({**summary, "episode_return": None}))
    with pytest.raises(ConfigError, match=r"^episodes=0: the run wasn't tested"):
        published(tmp_path / "run", tmp_path / "card", episodes=0)


def test_an_environment_without_pictures_has_no_video_and_cant_be_made_to_have_one(
    tmp_path: Path,
) -> None:
    small_run(tmp_path / "run", "environment.id=support.undrawn:Undrawn-v0")
    given = {"trust": "support"}
    found = published(tmp_path / "run", tmp_path / "card", video=None, **given)
    [why] = found.facts.left_out
    assert why.startswith("replay.mp4: ")
    assert "gives no pictures" in why
    assert f"Left out: {why}." in (tmp_path / "card" / "README.md").read_text()
    with pytest.raises(ConfigError, match=r"^video=true: .* gives no pictures"):
        published(tmp_path / "run", tmp_path / "other", video=True, **given)
    assert {path.name for path in tmp_path.iterdir()} == {"run", "card"}


def test_an_agent_that_cant_be_a_program_is_published_without_one(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any) -> None:
        raise ValueError("format=onnx: needs onnx")

    monkeypatch.setattr(publishing, "export", refuse)
    found = published(run, tmp_path / "card", onnx=None)
    assert {path.name for path in found.folder.iterdir()} == FILES
    assert found.facts.left_out == ("model.onnx: format=onnx: needs onnx",)
    assert "left out: model.onnx" in str(found)
    with pytest.raises(ConfigError, match=r"^onnx=true: format=onnx: needs onnx$"):
        published(run, tmp_path / "other", onnx=True)
    assert not (tmp_path / "other").exists()


def test_nothing_is_left_where_it_fails_halfway(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any, **others: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(publishing, "evaluate", fail)
    with pytest.raises(KeyboardInterrupt):
        published(run, tmp_path / "card")
    assert list(tmp_path.iterdir()) == []


OWN_NETWORK = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, width):
        super().__init__(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 2))
"""


def test_an_agent_of_ones_own_code_is_published_and_loaded_where_it_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net_to_publish.py").write_text(OWN_NETWORK)
    monkeypatch.syspath_prepend(tmp_path)
    network = "{_target_: net_to_publish.Net, width: 7}"
    small_run(tmp_path / "run", "~module.network", f"+module.network={network}", network=None)
    card = published(tmp_path / "run", tmp_path / "card", trust="net_to_publish").folder
    assert 'trust="net_to_publish")' in (card / "README.md").read_text()
    with pytest.raises(ConfigError, match=r"net_to_publish\.Net: .*trust=net_to_publish "):
        lightning_dqn.load(card)
    assert lightning_dqn.load(card, trust="net_to_publish").q_network[0].out_features == 7
