"""What other programs read gives the module's own values, or isn't written at all."""

import json
import re
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from support.switches import switched_dqn
from torch import Tensor, nn

from lightning_dqn import DQN, EnvironmentSpec
from lightning_dqn.commands.export import main
from lightning_dqn.formats import export, programs
from lightning_dqn.formats.programs import Agreement, QValues, compare, random_observations
from lightning_dqn.formats.saved import save_weights
from lightning_dqn.formats.tensors import read_tensors
from lightning_dqn.networks.heads.categorical import CategoricalHead
from lightning_dqn.networks.heads.quantile import (
    ImplicitQuantileHead,
    ProposedQuantileHead,
    QuantileHead,
)
from lightning_dqn.networks.heads.scalar import ScalarHead
from lightning_dqn.networks.torsos import minatar_cnn

ROOT = str(Path(__file__).resolve().parent.parent)
PROGRAMS = ("torchscript", "torch_export", "onnx")
VECTOR = EnvironmentSpec((4,), "float32", 3)
HEADS = [
    ScalarHead(),
    CategoricalHead(5, -1.0, 1.0),
    QuantileHead(3),
    ImplicitQuantileHead(4, num_evaluation_quantiles=5, num_cosines=6),
    ProposedQuantileHead(4, num_cosines=6),
]
SPECS = {
    "states": EnvironmentSpec((), "int64", 3, num_states=6),
    "states_stacked": EnvironmentSpec((), "int64", 3, num_states=6, frame_stack=2),
    "vectors_stacked": EnvironmentSpec((4,), "float32", 3, frame_stack=2),
    "images_bool": EnvironmentSpec((10, 10, 4), "bool", 3),
    "images_uint8_stacked": EnvironmentSpec((10, 10, 2), "uint8", 3, frame_stack=2),
}


def make(spec: EnvironmentSpec = VECTOR, **options) -> DQN:
    torch.manual_seed(0)
    layers = minatar_cnn() if len(spec.observation_shape) == 3 else ["Flatten", {"Linear": 8}]
    return switched_dqn(spec, **{"network": [*layers, "ReLU"], "double": False, **options})


def observations(spec: EnvironmentSpec, size: int = 13) -> Tensor:
    return random_observations(spec, size, torch.Generator().manual_seed(1))


def written(module: DQN, folder: Path, format: str, **options) -> export.Exported:
    return export.export(
        module.agent, folder / f"policy{export.SUFFIXES[format]}", format, **options
    )


def run_file(path: Path, format: str, observation: Tensor) -> Tensor:
    """Run an exported file as its users do."""
    if format == "onnx":
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        return torch.from_numpy(session.run(None, {"observation": observation.numpy()})[0])
    if format == "torch_export":
        return torch.export.load(path).module()(observation)
    with pytest.warns(DeprecationWarning, match=r"torch\.jit\.load"):
        return torch.jit.load(path)(observation)


def check(module: DQN, folder: Path, format: str) -> None:
    module.train()
    expected = module.q_values(observations(module.spec))
    exported = written(module, folder, format)
    found = run_file(exported.path, format, observations(module.spec))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert module.training
    assert module.q_network.training
    assert all(parameter.requires_grad for parameter in module.q_network.parameters())
    assert ROOT.encode() not in exported.path.read_bytes()


def cases(named: dict, fast: dict[str, set[str]]) -> list:
    """Pair each thing with each program; those that take long are slow but for some."""
    return [
        pytest.param(thing, format, id=f"{name}-{format}", marks=marks)
        for name, thing in named.items()
        for format in PROGRAMS
        for marks in ([] if name in fast.get(format, named) else [pytest.mark.slow],)
    ]


@pytest.mark.parametrize(
    ("head", "format"),
    cases(
        {type(head).__name__: head for head in HEADS},
        {"torch_export": {"QuantileHead"}, "onnx": {"ImplicitQuantileHead"}},
    ),
)
def test_every_head_with_every_switch_gives_the_modules_values(head, format, tmp_path):
    check(make(head=head, dueling=True, noisy=True, layer_norm=True), tmp_path, format)


@pytest.mark.parametrize(
    ("spec", "format"), cases(SPECS, {"torch_export": {"states_stacked"}, "onnx": {"images_bool"}})
)
def test_every_kind_of_observation_is_taken_in_the_environments_type(spec, format, tmp_path):
    check(make(spec), tmp_path, format)


@pytest.mark.parametrize("head", HEADS, ids=lambda head: type(head).__name__)
def test_what_is_exported_is_the_evaluation_network_without_noise(head):
    module = make(head=head, noisy=True)
    average = module.agent.add_network("average_network")
    for parameter in average.parameters():
        parameter.add_(0.1)
    module.train()
    observation = observations(VECTOR)
    online = module.q_values(observation)
    assert torch.equal(QValues(module.agent)(observation), online)
    module.agent.evaluation_network = "average_network"
    assert torch.equal(QValues(module.agent)(observation), module.q_values(observation))
    assert not torch.equal(QValues(module.agent)(observation), online)


def test_an_onnx_file_is_whole_and_names_its_ends(tmp_path):
    exported = written(make(), tmp_path, "onnx")
    assert {path.name for path in tmp_path.iterdir()} == {"policy.onnx", "policy.onnx.json"}
    model = onnx.load(exported.path)
    onnx.checker.check_model(model, full_check=True)
    [entry], [result] = model.graph.input, model.graph.output
    sizes = [[d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in (entry,)]
    assert (entry.name, sizes) == ("observation", [["batch", 4]])
    assert result.name == "q_values"
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 18)]


def test_torchscript_keeps_the_names_of_the_weights(tmp_path):
    module = make()
    exported = written(module, tmp_path, "torchscript")
    with pytest.warns(DeprecationWarning, match=r"torch\.jit\.load"):
        found = torch.jit.load(exported.path).state_dict()
    own = {f"network.{name}": tensor for name, tensor in module.q_network.state_dict().items()}
    assert found.keys() == own.keys()
    assert all(torch.equal(found[name], own[name]) for name in own)


# --- disagreement


def test_the_difference_is_the_largest_over_both_batches():
    values = QValues(make(VECTOR).agent)
    agreement = compare(values, lambda o: values(o) + 1e-7 * (len(o) == 7), VECTOR)
    assert agreement.largest_difference == pytest.approx(1e-7, rel=0.5)
    scale = max(
        float(values(random_observations(VECTOR, size, generator)).abs().max())
        for generator in [torch.Generator().manual_seed(0)]
        for size in (1, 7)
    )
    assert agreement == Agreement(agreement.largest_difference, scale)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda values, o: values(o) * (1 + 1e-4), "differs from the agent"),
        (lambda values, o: values(o) + 1e-3 * (len(o) == 7), "differs from the agent"),
        (lambda values, o: values(o) / 0 * 0, "aren't finite"),
        (lambda values, o: values(o)[0], r"gives \[3\]"),
        (lambda values, o: values(o.view(1, 4)), "fails on a batch of 7"),
    ],
    ids=["everywhere", "batch_of_7", "not_finite", "shape", "batch_size"],
)
def test_a_program_that_disagrees_is_refused(wrong, message):
    values = QValues(make().agent)
    with pytest.raises(ValueError, match=message):
        compare(values, lambda observation: wrong(values, observation), VECTOR)


def test_small_values_are_compared_by_their_own_size():
    module = make()
    with torch.no_grad():
        module.q_network.head.weight.mul_(1e-6)
        module.q_network.head.bias.mul_(1e-6)
    values = QValues(module.agent)
    with pytest.raises(ValueError, match="differs from the agent"):
        compare(values, lambda o: values(o) + 1e-8, VECTOR)


@pytest.mark.parametrize("format", PROGRAMS)
def test_an_export_that_disagrees_leaves_what_was_there(format, monkeypatch, tmp_path):
    wrong = programs.Runtime(lambda *_: b"new", lambda _: lambda o: torch.zeros(len(o), 3))
    monkeypatch.setitem(export.RUNTIMES, format, wrong)
    with pytest.raises(ValueError, match="differs from the agent"):
        written(make(), tmp_path / "new", format)
    assert not (tmp_path / "new").exists()
    before = tmp_path / f"policy{export.SUFFIXES[format]}"
    before.write_text("before")
    with pytest.raises(ValueError, match="differs from the agent"):
        written(make(), tmp_path, format)
    assert before.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == [before.name]


class CountsItsBatch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, observation: Tensor) -> Tensor:
        return self.layer(observation) + len(observation)


def test_a_network_that_a_trace_gets_wrong_is_refused(tmp_path):
    with pytest.raises(ValueError, match="differs from the agent"):
        written(make(network=CountsItsBatch()), tmp_path, "torchscript")
    assert list(tmp_path.iterdir()) == []
    check(make(network=CountsItsBatch()), tmp_path, "torch_export")


# --- weights


@pytest.mark.parametrize("format", ["npz", "safetensors"])
def test_weights_with_dfdx_keys_are_those_of_a_sequential(format, tmp_path):
    module = make(network=["Flatten", {"Linear": 8}, "ReLU", {"Linear": 6}, "Tanh"])
    exported = written(module, tmp_path, format)
    layers = nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 3)
    sequential = nn.Sequential(*layers)
    sequential.load_state_dict(read_tensors(exported.path))
    observation = observations(VECTOR)
    assert torch.equal(sequential(observation), module.q_values(observation))


@pytest.mark.parametrize("format", ["npz", "safetensors"])
def test_weights_with_own_keys_hold_any_network(format, tmp_path):
    module = make(dueling=True, head=QuantileHead(3))
    with pytest.raises(ValueError, match=r"keys=dfdx: head is a Sequential: .*; choose keys=own"):
        written(module, tmp_path, format)
    assert list(tmp_path.iterdir()) == []
    found = read_tensors(written(module, tmp_path, format, keys="own").path)
    own = module.q_network.state_dict()
    assert found.keys() == own.keys()
    assert all(torch.equal(found[name], own[name]) for name in own)


@pytest.mark.parametrize("format", ["npz", "torchscript"])
def test_weights_that_are_not_finite_are_refused_by_name(format, tmp_path):
    module = make()
    with torch.no_grad():
        module.q_network.head.bias[1] = float("nan")
    with pytest.raises(ValueError, match=r"head\.bias: holds a value that isn't finite"):
        written(module, tmp_path, format)
    assert list(tmp_path.iterdir()) == []


# --- the command


@pytest.fixture
def run(tmp_path) -> Path:
    save_weights(make().agent, tmp_path / "run")
    return tmp_path / "run"


def command(*arguments: str) -> int:
    try:
        main(arguments)
    except SystemExit as end:
        return int(end.code)
    return 0


def test_the_command_tells_ends_difference_size_and_place(run, monkeypatch, capsys):
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


def test_the_command_writes_weights(run, monkeypatch, capsys):
    output = run.parent / "policy.npz"
    arguments = (f"checkpoint={run}", f"output={output}", "format=npz", "keys=own")
    assert command(*arguments) == 0
    assert "torso.1.weight" in capsys.readouterr().out
    assert "torso.1.weight" in read_tensors(output)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["output=a.npz"], "checkpoint=null"),
        (["checkpoint={run}"], "output=null"),
        (["checkpoint={run}", "output=a.h5"], "output=a.h5: no format ends so"),
        (["checkpoint={run}", "output=a.pt", "format=onnx"], "format=onnx ends in .onnx"),
        (["checkpoint={run}", "output=a.pt", "format=keras"], "format='keras': choose safetensors"),
        (["checkpoint={run}", "output=a.npz", "keys=burn"], "keys='burn': choose dfdx or own"),
        (["checkpoint={run}", "outptu=a.npz"], "outptu: no such key"),
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


def test_onnx_without_its_packages_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setattr(programs, "find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(ValueError, match=r"needs onnxscript; pip install 'lightning-dqn\[onnx\]'"):
        written(make(), tmp_path, "onnx")
    assert list(tmp_path.iterdir()) == []
