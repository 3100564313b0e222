"""The import command makes a folder that the other commands take for a run's."""

import gc
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from lightning_dqn.commands import evaluate, export, import_weights
from lightning_dqn.formats.saved import load_agent
from lightning_dqn.formats.tensors import read_tensors, write_tensors

NETWORK = ["environment.id=CartPole-v1", "module.network.hidden=[8]", "trainer.accelerator=cpu"]


@pytest.fixture
def weights(tmp_path, monkeypatch) -> nn.Sequential:
    """The weights of ``elsewhere.npz`` in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(gc, "freeze", lambda: None)  # a command ends with its process, tests go on
    torch.manual_seed(5)
    sequential = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    write_tensors("elsewhere.npz", sequential.state_dict())
    return sequential


def command(module, *arguments: str) -> int:
    try:
        module.main(arguments)
    except SystemExit as end:
        return int(end.code)
    return 0


def imported(*arguments: str, output: str = "made") -> int:
    return command(import_weights, *NETWORK, f"output={output}", *arguments)


def test_the_folder_is_evaluated_and_exported_bit_for_bit(weights, monkeypatch, capsys):
    assert imported("file=elsewhere.npz") == 0
    assert "0.weight  torso.1.weight" in capsys.readouterr().out
    module = load_agent("made")
    observation = torch.randn(9, 4)
    assert torch.equal(module.q_values(observation), weights(observation))
    assert torch.equal(module.target_network(observation), weights(observation))

    episodes = ("run=made", "num_envs=2", "episodes_per_env=1")
    assert command(evaluate, *episodes) == 0
    assert "over 2 episodes" in capsys.readouterr().out

    assert command(export, "checkpoint=made", "output=back.npz") == 0
    back = read_tensors("back.npz")
    assert list(back) == list(weights.state_dict())
    assert all(torch.equal(back[name], t) for name, t in weights.state_dict().items())


def test_a_key_map_stands_in_the_arguments_or_in_a_file(weights, monkeypatch):
    names = {"0": "first", "2": "last"}
    renamed = {
        ".".join([names[name.split(".")[0]], name.split(".")[1]]): tensor
        for name, tensor in weights.state_dict().items()
    }
    write_tensors("renamed.safetensors", renamed)
    observation = torch.randn(9, 4)
    key_map = {"first": "torso.1", "last": "head"}
    Path("map.json").write_text(json.dumps(key_map))
    for number, given in enumerate(("{first: torso.1, last: head}", "map.json")):
        arguments = ("file=renamed.safetensors", f"key_map={given}")
        assert imported(*arguments, output=f"made{number}") == 0
        assert torch.equal(load_agent(f"made{number}").q_values(observation), weights(observation))


def test_what_does_not_fit_is_told_as_a_table_and_nothing_is_written(weights, monkeypatch, capsys):
    assert imported("file=elsewhere.npz", "module.network.dueling=true") == 2
    told = capsys.readouterr().err
    assert told.startswith("lightning-dqn: none of the weights fits the network")
    assert imported("file=elsewhere.npz", "module.network.hidden=[9]") == 2
    told = capsys.readouterr().err
    assert "wrong shape  0.weight [8, 4]  torso.1.weight [9, 4]" in told
    assert not Path("made").exists()


def test_a_part_is_taken_only_when_asked(weights, monkeypatch):
    given = dict(weights.state_dict())
    del given["2.bias"]
    write_tensors("part.npz", given)
    assert imported("file=part.npz") == 2
    assert imported("file=part.npz", "partial=true") == 0
    network = load_agent("made").q_network
    assert torch.equal(network.head.weight, weights[2].weight)
    assert not torch.equal(network.head.bias, weights[2].bias)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "file=: name .safetensors or .npz"),
        (["file=nowhere.npz"], "nowhere.npz: there is no such file"),
        (["file=notes.txt"], "notes.txt: tensors are kept in files named"),
        (["file=elsewhere.npz", "partial=perhaps"], "partial='perhaps': expected true or false"),
        (["file=elsewhere.npz", "key_map=nowhere.yaml"], "key_map=nowhere.yaml: no readable"),
        (["file=elsewhere.npz", "key_map=[1]"], "key_map=[1]: expected a mapping"),
        (["file=elsewhere.npz", "key_map={fc: head}"], "the file holds nothing of the name fc"),
        (
            ["file=elsewhere.npz", "module.network.dueling=perhaps"],
            "module.network.dueling='perhaps': expected",
        ),
        (
            ["file=elsewhere.npz", "module.network.duelling=true"],
            "did you mean module.network.dueling?",
        ),
        (["file=elsewhere.npz", "environment.id=CartPoll-v1"], "environment.id=CartPoll-v1"),
    ],
)
def test_a_mistake_is_told_with_exit_code_2(arguments, message, weights, monkeypatch, capsys):
    assert imported(*arguments) == 2
    assert message in capsys.readouterr().err
    assert not Path("made").exists()


def test_a_run_that_was_interrupted_is_left_as_it_is(weights, capsys):
    own = Path("made/.hydra/config.yaml")
    own.parent.mkdir(parents=True)
    own.write_text("seed: 1")
    assert imported("file=elsewhere.npz") == 2
    assert "output=made: is there already; name another folder" in capsys.readouterr().err
    assert own.read_text() == "seed: 1"
    assert not Path("made/module.safetensors").exists()


def test_an_empty_folder_is_taken(weights):
    Path("made").mkdir()
    assert imported("file=elsewhere.npz") == 0
    assert {path.name for path in Path("made").iterdir()} == {
        ".hydra",
        "module.json",
        "module.safetensors",
    }


def test_nothing_is_left_where_writing_fails(weights, monkeypatch):
    def fail(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(import_weights, "write_text", fail)
    with pytest.raises(KeyboardInterrupt):
        imported("file=elsewhere.npz")
    assert [path.name for path in Path().iterdir()] == ["elsewhere.npz"]
