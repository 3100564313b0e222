"""What other programs read gives the module's own values, or isn't written at all."""

from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from support.switches import switched_dqn
from torch import Tensor, nn

from lightning_dqn import DQN, EnvironmentSpec
from lightning_dqn.formats import export, programs
from lightning_dqn.formats.programs import random_observations
from lightning_dqn.formats.tensors import read_tensors
from lightning_dqn.networks.heads.categorical import CategoricalHead
from lightning_dqn.networks.heads.quantile import (
    ImplicitQuantileHead,
    ProposedQuantileHead,
    QuantileHead,
)
from lightning_dqn.networks.heads.scalar import ScalarHead
from lightning_dqn.networks.torsos import Impala, minatar_cnn
from lightning_dqn.safekeeping.checksums import verify

ROOT = str(Path(__file__).resolve().parents[2])
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


STAGES = {
    "spectral norms, pooling": {"hidden": None, "spectral_norm": True, "pool": 4},
    "latents from 0 to 1": {"hidden": 8, "renormalised": True},
}


@pytest.mark.parametrize(
    ("options", "format"), cases(STAGES, {"torch_export": set(), "onnx": {"latents from 0 to 1"}})
)
def test_residual_stages_are_exported(options, format, tmp_path):
    spec = EnvironmentSpec((44, 44), "uint8", 3, frame_stack=4)
    network = Impala(num_blocks=1, head_hidden=8, dueling=True, **options)
    check(switched_dqn(spec, network=network, double=False), tmp_path, format)


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


class ScalesByItsBatch(CountsItsBatch):
    def forward(self, observation: Tensor) -> Tensor:
        return self.layer(observation) * int(observation.shape[0])


def test_a_network_that_a_trace_gets_wrong_is_refused(tmp_path):
    with pytest.raises(ValueError, match="differs from the agent"):
        written(make(network=ScalesByItsBatch()), tmp_path, "torchscript")
    message = "no program can be made of CountsItsBatch: Using len .*test_export"
    with pytest.raises(ValueError, match=message):
        written(make(network=CountsItsBatch()), tmp_path, "torchscript")
    assert list(tmp_path.iterdir()) == []
    check(make(network=CountsItsBatch()), tmp_path, "torch_export")


class Branches(CountsItsBatch):
    def forward(self, observation: Tensor) -> Tensor:
        return self.layer(observation if observation.sum() > 0 else -observation)


class LooksItsBatchUp(CountsItsBatch):
    def forward(self, observation: Tensor) -> Tensor:
        return self.layer(observation) * {1: 1.0, 2: 1.0, 7: 1.0}[len(observation)]


class BranchesFarOut(CountsItsBatch):
    """By values that no draw comes to, before which a trace and the network are one."""

    def forward(self, observation: Tensor) -> Tensor:
        largest = observation.abs().max()
        return self.layer(observation / largest if largest > 100 else observation)


class BranchesAtManyRows(CountsItsBatch):
    def forward(self, observation: Tensor) -> Tensor:
        return self.layer(observation) * (2 if observation.shape[0] > 1000 else 1)


class Attends(CountsItsBatch):
    """Torch's own layers decide by sizes too."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, observation: Tensor) -> Tensor:
        rows = observation[:, None].expand(-1, 5, -1)
        return self.layer(self.attention(rows, rows, rows, need_weights=False)[0].mean(1))


def test_what_torchs_own_layers_decide_by_sizes_is_no_branch(tmp_path):
    check(make(network=Attends()), tmp_path, "torchscript")


@pytest.mark.parametrize("network", [Branches, LooksItsBatchUp, BranchesFarOut, BranchesAtManyRows])
@pytest.mark.parametrize("format", PROGRAMS)
def test_a_network_that_is_no_graph_is_refused_in_a_line(network, format, tmp_path, capfd):
    with pytest.raises(ValueError) as refused:
        written(make(network=network()), tmp_path, format)
    error = str(refused.value)
    assert error.startswith(f"format={format}: no program can be made of {network.__name__}: ")
    assert error.endswith("format=safetensors keys=own holds its weights alone")
    assert len(error.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
    assert "".join(capfd.readouterr()) == ""
    written(make(network=network()), tmp_path, "safetensors", keys="own")


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


def test_onnx_without_its_packages_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setattr(programs, "find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(ValueError, match=r"needs onnxscript; pip install 'lightning-dqn\[onnx\]'"):
        written(make(), tmp_path, "onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format", export.SUFFIXES)
def test_the_description_holds_the_checksum_of_every_format(format, tmp_path):
    exported = written(make(), tmp_path, format)
    beside = exported.path.with_name(f"{exported.path.name}.json")
    verify(exported.path, beside)
    content = bytearray(exported.path.read_bytes())
    content[len(content) // 2] ^= 1
    exported.path.write_bytes(content)
    with pytest.raises(ValueError, match="differs from its checksum"):
        verify(exported.path, beside)
