"""The command that exports: its keys, what it prints and how it refuses."""

import json
import re
from pathlib import Path

import pytest
import torch
from support.short_runs import small_run

from lightning_dqn import DQN, EnvironmentSpec
from lightning_dqn.commands import evaluate, export, record, watch
from lightning_dqn.commands.command import usage
from lightning_dqn.formats.saved import save_weights
from lightning_dqn.formats.tensors import read_tensors
from lightning_dqn.runs.finished import publishing


@pytest.fixture
def run(tmp_path) -> Path:
    torch.manual_seed(0)
    module = DQN(EnvironmentSpec((4,), "float32", 3), network=["Flatten", {"Linear": 8}, "ReLU"])
    save_weights(module.agent, tmp_path / "run")
    return tmp_path / "run"


def command(*arguments: str) -> int:
    try:
        export.main(arguments)
    except SystemExit as end:
        return int(end.code)
    return 0


def test_help_names_every_key(capsys):
    assert command("--help") == 0
    out = capsys.readouterr().out
    assert out == usage(export.ExportOptions) + "\n"


def test_the_command_tells_ends_difference_size_and_place(run, capsys):
    output = run.parent / "deep" / "policy.pt"
    assert command(f"checkpoint={run}", f"output={output}") == 0
    printed = capsys.readouterr().out
    assert f"{output}: torchscript, {output.stat().st_size:,} bytes" in printed
    assert "observation float32[batch, 4]" in printed
    assert "q_values float32[batch, 3]" in printed
    assert re.search(r"difference  [\d.e-]+ at most", printed)
    description = json.loads((output.parent / "policy.pt.json").read_text())
    ends = {"name": "observation", "dtype": "float32", "shape": ["batch", 4]}
    assert description["input"] == ends
    assert description["output"]["shape"] == ["batch", 3]
    assert description["hyperparameters"]["environment"]["observation_shape"] == [4]


def test_the_command_writes_weights(run, capsys):
    output = run.parent / "policy.npz"
    arguments = (f"checkpoint={run}", f"output={output}", "format=npz", "keys=own")
    assert command(*arguments) == 0
    assert "torso.1.weight" in capsys.readouterr().out
    assert "torso.1.weight" in read_tensors(output)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_the_format_is_that_of_the_outputs_name(suffix, run, capsys):
    output = run.parent / f"policy{suffix}"
    assert command(f"checkpoint={run}", f"output={output}") == 0
    assert f"{output}: {suffix[1:]}, " in capsys.readouterr().out
    assert set(read_tensors(output)) == {"0.weight", "0.bias", "2.weight", "2.bias"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["output=a.npz"], "run=: name its folder"),
        (["checkpoint={run}"], "output=: name the file"),
        (["checkpoint={run}", "output=a.h5"], "output=a.h5: no format ends so"),
        (
            ["checkpoint={run}", "output=a", "format=card"],
            ".hydra/config.yaml is missing beside it",
        ),
        (["checkpoint={run}", "output=a.pt", "format=onnx"], "format=onnx ends in .onnx"),
        (
            ["checkpoint={run}", "output=a.pt", "format=keras"],
            "format='keras': expected safetensors or npz or onnx or torchscript or",
        ),
        (["checkpoint={run}", "output=a.npz", "keys=burn"], "keys='burn': expected dfdx or own"),
        (["checkpoint={run}", "outptu=a.npz"], "outptu: no such key"),
        (["{run}", "output=a.npz", "license=mit"], "license=mit: nothing reads it with format=npz"),
        (["{run}", "output=a.onnx", "episodes=0"], "episodes=0: nothing reads it with format=onnx"),
        (["{run}", "output=a.pt", "keys=own"], "keys=own: nothing reads it with format=torchscrip"),
        (
            ["{run}", "output=a", "format=card", "keys=own"],
            "keys=own: nothing reads it with format",
        ),
        (["checkpoint=nowhere", "output=a.npz"], "nowhere: there is no such file or folder"),
        (["checkpoint={run}", "output={run}/module.safetensors"], "the run's own weights"),
    ],
)
def test_a_mistake_is_told_in_one_line_with_exit_code_2(
    arguments, message, run, monkeypatch, capsys, tmp_path
):
    monkeypatch.chdir(tmp_path)
    assert command(*(a.format(run=run) for a in arguments)) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.startswith("lightning-dqn: ")
    assert told.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_finished_run_becomes_a_folder_that_the_other_commands_take(tmp_path, capsys):
    small_run(tmp_path / "run")
    capsys.readouterr()
    output = tmp_path / "card"
    arguments = [f"{tmp_path / 'run'}", f"output={output}", "format=card", "episodes=4"]
    assert command(*arguments, "video=true", "license=mit") == 0
    printed = capsys.readouterr().out
    assert f"{output}: return " in printed
    assert "over 4 episodes, of an evaluation made when this folder was written" in printed
    assert re.search(r"replay\.mp4 +[\d,]+ bytes", printed)
    evaluate.main([str(output), "num_envs=4", "episodes_per_env=1"])
    again = capsys.readouterr().out
    assert (
        re.search(r"return [\d.]+ ± [\d.]+", again)[0] == re.search("return .*?(?= o)", printed)[0]
    )
    watch.main([str(output), "episodes=1", "text=true"])
    assert "episode 1: return " in capsys.readouterr().out
    record.main([str(output), "episodes=1", f"output={tmp_path / 'videos'}/", "format=gif"])
    assert len([*(tmp_path / "videos").glob("*.gif")]) == 1
    assert command(str(output), f"output={tmp_path / 'weights.npz'}") == 0
    assert command(*arguments) == 2
    assert "is there already; name another folder\n" in capsys.readouterr().err


def test_an_interrupted_export_says_so_and_leaves_nothing(tmp_path, capsys, monkeypatch):
    def interrupt(*arguments, **others):
        raise KeyboardInterrupt

    small_run(tmp_path / "run")
    capsys.readouterr()
    monkeypatch.setattr(publishing, "evaluate", interrupt)
    arguments = [f"{tmp_path / 'run'}", f"output={tmp_path / 'card'}", "format=card"]
    assert command(*arguments, "video=false") == 130
    assert capsys.readouterr().err == "lightning-dqn: interrupted; nothing was written\n"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
