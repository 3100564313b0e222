"""Weights from elsewhere find their place, or the report says why not and nothing changes."""

import numpy as np
import pytest
import torch
from support.switches import switched_dqn
from torch import Tensor, nn

from lightning_dqn import EnvironmentSpec
from lightning_dqn.formats.matching import (
    ImportReport,
    WrongShape,
    dfdx_names,
    import_weights,
    match_weights,
)
from lightning_dqn.formats.tensors import read_tensors, write_tensors
from lightning_dqn.networks.heads.quantile import QuantileHead
from lightning_dqn.networks.table import Table
from lightning_dqn.networks.torsos import Impala

BOARD = EnvironmentSpec((9,), "float32", 9)
LAYERS = [{"Linear": 32}, "ReLU", {"Linear": 32}, "ReLU"]
DFDX = ["0.weight", "0.bias", "2.weight", "2.bias", "4.weight", "4.bias"]
OWN = [f"{layer}.{key}" for layer in ("torso.0", "torso.2", "head") for key in ("weight", "bias")]


def network(seed: int = 0, layers: list = LAYERS, **options) -> nn.Module:
    torch.manual_seed(seed)
    return switched_dqn(BOARD, network=layers, **options).q_network


def from_elsewhere(seed: int = 1) -> nn.Sequential:
    torch.manual_seed(seed)
    layers = nn.Linear(9, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 9)
    return nn.Sequential(*layers)


def state(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_a_chain_from_elsewhere_gives_its_own_values_and_goes_back_bit_for_bit(suffix, tmp_path):
    theirs, ours = from_elsewhere(), network()
    write_tensors(tmp_path / f"a{suffix}", theirs.state_dict())
    report = import_weights(ours, read_tensors(tmp_path / f"a{suffix}"))
    assert report == ImportReport(dict(zip(DFDX, OWN, strict=True)), (), (), ())
    observation = torch.randn(50, 9)
    assert torch.equal(ours(observation), theirs(observation))
    back = {theirs: state(ours)[own] for own, theirs in dfdx_names(ours).items()}
    assert same(back, state(theirs))


def test_imported_values_are_those_of_plain_numpy(tmp_path):
    random = np.random.default_rng(0)
    shapes = [(32, 9), (32,), (32, 32), (32,), (9, 32), (9,)]
    arrays = {n: random.normal(size=s).astype("f4") for n, s in zip(DFDX, shapes, strict=True)}
    np.savez(tmp_path / "a.npz", **arrays)
    ours = network()
    import_weights(ours, read_tensors(tmp_path / "a.npz"))
    boards = random.integers(-1, 2, (50, 9)).astype("f4")
    hidden = np.maximum(boards @ arrays["0.weight"].T + arrays["0.bias"], 0)
    hidden = np.maximum(hidden @ arrays["2.weight"].T + arrays["2.bias"], 0)
    expected = hidden @ arrays["4.weight"].T + arrays["4.bias"]
    found = ours(torch.from_numpy(boards)).detach()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_a_leading_flatten_does_not_count_and_another_layer_does():
    names = dfdx_names(network(layers=["Flatten", {"Linear": 5}, "Tanh", "Identity"]))
    assert names["torso.1.weight"] == "0.weight"
    assert names["head.weight"] == "3.weight"
    assert dfdx_names(from_elsewhere()) == {name: name for name in DFDX}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"dueling": True}, "head is a DuelingHead"),
        ({"noisy": True}, "torso.0 is a NoisyLinear"),
        ({"layer_norm": True}, "torso.1 is a LayerNorm"),
        ({"head": QuantileHead(3)}, "head is a Sequential"),
    ],
)
def test_what_is_no_chain_of_linear_layers_has_no_dfdx_names(options, reason):
    with pytest.raises(ValueError, match=reason):
        dfdx_names(network(**options))


def test_a_module_of_the_users_own_has_no_dfdx_names():
    with pytest.raises(ValueError, match="Bilinear isn't a chain of layers"):
        dfdx_names(nn.Bilinear(2, 2, 2))


def test_equal_names_match_in_any_network():
    theirs, ours = network(1, dueling=True, noisy=True), network(0, dueling=True, noisy=True)
    assert import_weights(ours, state(theirs)).is_complete
    assert same(state(ours), state(theirs))


def test_a_key_map_renames_layers_and_single_tensors():
    theirs, ours = from_elsewhere(), network()
    given = state(theirs)
    renamed = {
        "body.fc1.weight": given["0.weight"],
        "body.fc1.bias": given["0.bias"],
        "fc2.kernel": given["2.weight"],
        "fc2.bias": given["2.bias"],
        "head.weight": given["4.weight"],
        "head.bias": given["4.bias"],
    }
    key_map = {"body.fc1": "torso.0", "fc2": "torso.2", "fc2.kernel": "torso.2.weight"}
    assert import_weights(ours, renamed, key_map).is_complete
    assert torch.equal(ours(torch.ones(1, 9)), theirs(torch.ones(1, 9)))


def test_a_key_map_drops_a_prefix():
    theirs, ours = network(1), network(0)
    prefixed = {f"q_network.{name}": tensor for name, tensor in state(theirs).items()}
    assert not match_weights(ours, prefixed).matched
    assert import_weights(ours, prefixed, {"q_network": ""}).is_complete
    assert same(state(ours), state(theirs))


def test_a_key_map_goes_before_an_equal_name():
    given = {"0.weight": torch.ones(2, 2), "1.weight": torch.zeros(2, 2)}
    ours = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    import_weights(ours, given, {"0": "1", "1": "0"})
    assert not ours[0].weight.any()
    assert ours[1].weight.all()


@pytest.mark.parametrize(
    ("key_map", "message"),
    [
        ({"fc9": "head"}, "the file holds nothing of the name fc9"),
        ({"0": "torso.7"}, r"0\.weight goes to torso\.7\.weight, but the network holds torso"),
        ({"0": "head", "2": "head"}, r"0\.weight and 2\.weight both go to head\.weight"),
    ],
)
def test_a_wrong_key_map_is_refused(key_map, message):
    with pytest.raises(ValueError, match=f"key_map: {message}"):
        match_weights(network(), state(from_elsewhere()), key_map)


def mismatched() -> dict[str, Tensor]:
    given = state(from_elsewhere())
    del given["2.bias"]
    return {**given, "4.weight": torch.ones(7, 32), "momentum": torch.ones(3)}


def test_the_report_tells_what_differs_and_nothing_changes():
    ours = network()
    before = state(ours)
    report = match_weights(ours, mismatched())
    assert list(report.matched) == ["0.weight", "0.bias", "2.weight", "4.bias"]
    assert report.missing == ("torso.2.bias",)
    assert report.unexpected == ("momentum",)
    assert report.wrong_shape == (WrongShape("4.weight", "head.weight", (7, 32), (9, 32)),)
    with pytest.raises(ValueError, match="don't fit the network") as refused:
        import_weights(ours, mismatched())
    assert str(report) in str(refused.value)
    assert same(state(ours), before)


def test_the_report_reads_as_a_table():
    table = str(match_weights(network(), mismatched())).splitlines()
    assert table == [
        "             file              network",
        "matched      0.weight          torso.0.weight",
        "matched      0.bias            torso.0.bias",
        "matched      2.weight          torso.2.weight",
        "matched      4.bias            head.bias",
        "wrong shape  4.weight [7, 32]  head.weight [9, 32]",
        "missing                        torso.2.bias",
        "unexpected   momentum",
    ]


def test_a_partial_import_takes_what_fits_and_leaves_the_rest():
    ours = network()
    before = state(ours)
    report = import_weights(ours, mismatched(), partial=True)
    assert not report.is_complete
    after = state(ours)
    for source, target in report.matched.items():
        assert torch.equal(after[target], mismatched()[source])
    for name in ("torso.2.bias", "head.weight"):
        assert torch.equal(after[name], before[name])


@pytest.mark.parametrize("partial", [False, True])
def test_weights_of_which_none_fits_are_refused(partial):
    with pytest.raises(ValueError, match="none of the weights fits"):
        import_weights(network(), {"a": torch.ones(2)}, partial=partial)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_values_that_are_not_finite_are_refused_by_name_and_nothing_changes(value):
    ours = network()
    before = state(ours)
    given = {name: tensor.double() for name, tensor in state(from_elsewhere()).items()}
    given["2.bias"][3] = value
    with pytest.raises(ValueError, match=r"2\.bias: holds a value that isn't finite as torch\.f"):
        import_weights(ours, given)
    assert same(state(ours), before)


def test_weights_of_another_type_become_the_networks():
    ours, theirs = network(), from_elsewhere()
    import_weights(ours, state(theirs.double()))
    assert {tensor.dtype for tensor in state(ours).values()} == {torch.float32}
    assert torch.equal(ours(torch.ones(1, 9)), theirs.float()(torch.ones(1, 9)))


def test_a_table_from_elsewhere_counts_as_learned_unless_the_file_tells_which_states_were():
    values = torch.randn(4, 2)
    for seen in (None, torch.tensor([True, False, True, False])):
        table = Table(4, 2)
        given = {"weight": values} if seen is None else {"weight": values, "seen": seen}
        import_weights(table, given, partial=seen is None)
        assert torch.equal(table.weight, values)
        assert table.unseen(torch.arange(4)).tolist() == [False, seen is not None] * 2
    table = Table(4, 2)
    import_weights(table, {"seen": torch.tensor([True, False, False, False])}, partial=True)
    assert table.unseen(torch.arange(4)).tolist() == [False, True, True, True]


def test_spectral_norms_that_a_file_has_no_vectors_for_are_found_anew():
    """Else weights are divided by the singular value of those that were there before."""
    frames = EnvironmentSpec((3, 24, 24), "uint8", 2)

    def made(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return switched_dqn(frames, network=Impala(spectral_norm=True, hidden=16)).q_network

    source, target = made(0).eval(), made(1).eval()
    tensors = {n: t for n, t in state(source).items() if not n.endswith((".left", ".right"))}
    with pytest.raises(ValueError, match="don't fit the network"):
        import_weights(target, tensors)
    import_weights(target, tensors, partial=True)
    images = torch.randint(0, 256, (2, 3, 24, 24), dtype=torch.uint8)
    torch.testing.assert_close(target(images), source(images), rtol=0.05, atol=0.01)
    import_weights(target, state(source))
    assert same(state(target), state(source)), "whole ones are taken as they are"
