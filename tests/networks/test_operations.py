"""Operations on whole models, against plain loops over their state_dicts."""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import deepcopy
from typing import cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.networks import operations
from lightning_dqn.networks.operations import align
from lightning_dqn.networks.q_network import QNetwork
from lightning_dqn.networks.torsos import Impala, NatureCNN

State = dict[str, Tensor]


class Net(nn.Module):
    """Two linear layers and, if asked for, a BatchNorm with buffers of two types."""

    def __init__(self, *, batch_norm: bool = False, hidden: int = 3) -> None:
        super().__init__()
        self.first = nn.Linear(4, hidden)
        self.second = nn.Linear(hidden, 2)
        if batch_norm:
            self.norm = nn.BatchNorm1d(hidden)


class NetTheOtherWayRound(nn.Module):
    """The layers of ``Net``, defined in another order."""

    def __init__(self) -> None:
        super().__init__()
        self.second = nn.Linear(3, 2)
        self.first = nn.Linear(4, 3)


def net(seed: int, **arguments: bool | int) -> Net:
    torch.manual_seed(seed)
    made = Net(**arguments)  # type: ignore[arg-type]
    for name, buffer in made.named_buffers():
        buffer.copy_(torch.randint(1, 100, ()) if "num" in name else torch.rand_like(buffer))
    return made


def state_of(model: nn.Module) -> State:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def assert_state(model: nn.Module, expected: State) -> None:
    torch.testing.assert_close(dict(model.state_dict()), expected)


def is_buffer(name: str) -> bool:
    return name.startswith("norm.") and name not in ("norm.weight", "norm.bias")


# --- wrong arguments


@pytest.mark.parametrize("arguments", [{}, {"tau": 0.1, "decay": 0.9}])
def test_exactly_one_of_tau_and_decay_must_be_given(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"give exactly one of the two"):
        operations.ema(net(0), net(1), **arguments)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
@pytest.mark.parametrize("name", ["tau", "decay"])
def test_a_step_outside_0_and_1_is_refused_by_its_name(name: str, value: float) -> None:
    with pytest.raises(
        ValueError, match=rf"{name}={value}: (must lie between 0 and 1|expected a finite number)$"
    ):
        operations.ema(net(0), net(1), **{name: value})


def test_a_tensor_missing_in_one_model_is_named() -> None:
    with pytest.raises(ValueError, match=r"'norm\.weight' is missing"):
        operations.copy(net(0, batch_norm=True), net(1))


def test_a_tensor_of_another_shape_is_named_with_both_shapes() -> None:
    with pytest.raises(ValueError, match=r"'first.weight' has the shapes \(3, 4\) and \(5, 4\)"):
        operations.copy(net(0), net(1, hidden=5))


def test_a_refused_operation_leaves_the_model_alone() -> None:
    model = net(0)
    before = state_of(model)
    with pytest.raises(ValueError, match="shapes"):
        operations.lerp(model, net(1, hidden=5), weight=0.5)
    assert_state(model, before)


def test_a_filter_that_chooses_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no tensor is chosen by include='third'"):
        align(net(0), include="third")
    with pytest.raises(ValueError, match="no layer is chosen by include='third'"):
        operations.reset(net(0), include="third")


def test_an_unknown_buffer_policy_is_refused() -> None:
    with pytest.raises(ValueError, match="buffers='mean': choose copy, average or skip"):
        align(net(0), net(1), buffers="mean")  # type: ignore[arg-type]


def test_no_model_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one model"):
        align()
    with pytest.raises(ValueError, match="at least one model"):
        operations.average(net(0))


def test_an_average_with_too_few_or_too_many_weights_is_refused() -> None:
    for weights in ([1.0], [0.2, 0.3, 0.5]):
        with pytest.raises(ValueError, match="argument"):
            operations.average(net(0), net(1), net(2), weights=weights)


@pytest.mark.parametrize(
    "arguments",
    [{}, {"max_value": 1.0, "max_norm": 1.0}, {"max_norm": 1.0, "max_spectral_norm": 1.0}],
)
def test_clip_takes_exactly_one_bound(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="give exactly one of the three"):
        operations.clip(net(0), **arguments)


@pytest.mark.parametrize("name", ["max_value", "max_norm", "max_spectral_norm"])
def test_a_bound_that_is_not_above_0_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}=0: must be above 0"):
        operations.clip(net(0), **{name: 0})


# --- the moving average


def test_ema_is_the_seeds_formula_in_its_own_words() -> None:
    TAU = 0.9
    model, model_training = net(0), net(1)
    # model <- TAU * model + (1 - TAU) * model_training
    expected = {
        name: TAU * weight + (1 - TAU) * model_training.state_dict()[name]
        for name, weight in state_of(model).items()
    }
    operations.ema(model, model_training, decay=TAU)
    assert_state(model, expected)


def test_axpy_writes_the_seeds_formula_as_the_seed_does() -> None:
    TAU = 0.9
    by_axpy, by_ema, model_training = net(0), net(0), net(1)
    operations.axpy(by_axpy, model_training, alpha=TAU, beta=1.0 - TAU)
    operations.ema(by_ema, model_training, decay=TAU)
    assert_state(by_axpy, state_of(by_ema))


@pytest.mark.parametrize("tau", [0.0, 0.005, 0.5, 1.0])
def test_a_decay_is_one_minus_tau(tau: float) -> None:
    by_tau, by_decay = net(0), net(0)
    operations.ema(by_tau, net(1), tau=tau)
    operations.ema(by_decay, net(1), decay=1 - tau)
    assert_state(by_tau, state_of(by_decay))


def test_tau_1_copies_bit_for_bit_and_tau_0_changes_nothing() -> None:
    model, online = net(0), net(1)
    operations.ema(model, online, tau=1)
    assert all(torch.equal(w, online.state_dict()[name]) for name, w in model.state_dict().items())
    model, before = net(0), state_of(net(0))
    operations.ema(model, online, tau=0)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def test_a_copy_leaves_nothing_of_weights_that_were_not_finite() -> None:
    model, online = net(0), net(1)
    nn.init.constant_(model.first.weight, torch.nan)
    operations.ema(model, online, tau=1)
    assert_state(model, state_of(online))


def test_the_average_of_an_unmoving_model_reaches_it() -> None:
    model, online = net(0), net(1)
    aligned = align(model, online)
    for _ in range(200):
        operations.ema(aligned, decay=0.9)
    assert_state(model, state_of(online))


def test_the_models_that_are_read_never_change() -> None:
    others = [net(1, batch_norm=True), net(2, batch_norm=True)]
    before = [state_of(other) for other in others]
    model = net(0, batch_norm=True)
    operations.lerp(model, others[0], weight=0.5)
    operations.copy(model, others[0])
    operations.axpy(model, others[0], alpha=2.0, beta=3.0)
    operations.average(model, *others)
    for other, state in zip(others, before, strict=True):
        assert_state(other, state)


def test_weights_that_need_gradients_are_changed_in_place_without_a_graph() -> None:
    model = net(0)
    weight = model.first.weight
    operations.ema(model, net(1), tau=0.5)
    assert model.first.weight is weight
    assert weight.requires_grad
    assert weight.is_leaf


# --- against plain loops

numbers = st.floats(-3, 3, allow_nan=False)
OPERATIONS: dict[str, tuple[Callable[..., None], Callable[..., Tensor]]] = {
    "lerp": (
        lambda models, a, b: operations.lerp(models, weight=a),
        lambda model, other, a, b: model + a * (other - model),
    ),
    "copy": (lambda models, a, b: operations.copy(models), lambda model, other, a, b: other),
    "axpy": (
        lambda models, a, b: operations.axpy(models, alpha=a, beta=b),
        lambda model, other, a, b: a * model + b * other,
    ),
}


@pytest.mark.parametrize("name", OPERATIONS)
@settings(deadline=None, max_examples=15)
@given(
    a=numbers | st.just(1.0),
    b=numbers,
    include=st.sampled_from([None, "first", "weight$", r"^second\.b"]),
    exclude=st.sampled_from([None, "bias$", "^norm"]),
    seed=st.integers(0, 99),
)
def test_two_models_are_walked_as_a_plain_loop_would(
    name: str, a: float, b: float, include: str | None, exclude: str | None, seed: int
) -> None:
    operation, formula = OPERATIONS[name]
    model, other = net(seed), net(seed + 1)
    expected = state_of(model)
    chosen = [
        key
        for key in expected
        if (include is None or re.search(include, key))
        and not (exclude is not None and re.search(exclude, key))
    ]
    if not chosen:  # ^second\.b against bias$: refused, see above
        return
    for key in chosen:
        expected[key] = formula(expected[key], other.state_dict()[key], a, b)
    operation(align(model, other, include=include, exclude=exclude), a, b)
    assert_state(model, expected)


@settings(deadline=None, max_examples=15)
@given(weights=st.lists(numbers, min_size=1, max_size=4), seed=st.integers(0, 99))
def test_the_weighted_mean_of_any_number_of_models(weights: list[float], seed: int) -> None:
    model, others = net(seed), [net(seed + 1 + i) for i in range(len(weights))]
    expected = {
        key: sum(
            weight * other.state_dict()[key] for weight, other in zip(weights, others, strict=True)
        )
        for key in state_of(model)
    }
    operations.average(model, *others, weights=weights)
    assert_state(model, expected)  # type: ignore[arg-type]


def test_an_average_without_weights_is_the_mean_also_of_the_model_itself() -> None:
    model, second, third = net(0), net(1), net(2)
    states = [state_of(m) for m in (model, second, third)]
    operations.average(model, model, second, third)
    assert_state(model, {key: sum(s[key] for s in states) / 3 for key in states[0]})  # type: ignore[misc]


def test_three_models_lie_side_by_side_under_the_same_names() -> None:
    models = net(0), net(1), net(2)
    aligned = align(*models, include="second")
    assert aligned.names == ["second.weight", "second.bias"]
    for model, tensors in zip(models, aligned.tensors, strict=True):
        assert tensors[0] is model.second.weight
        assert tensors[1] is model.second.bias


def test_models_are_matched_by_name_whatever_their_order_of_definition() -> None:
    model, other = net(0), NetTheOtherWayRound()
    operations.copy(model, other)
    assert_state(model, state_of(other))
    operations.average(model, other, net(1))
    expected = {k: (v + net(1).state_dict()[k]) / 2 for k, v in other.state_dict().items()}
    assert_state(model, expected)


def test_tensors_that_only_the_read_model_has_are_ignored() -> None:
    model, other = net(0), net(1, batch_norm=True)
    operations.copy(model, other)
    assert_state(model, {k: v for k, v in other.state_dict().items() if "norm" not in k})


# --- buffers


def test_copied_buffers_are_taken_from_the_second_model_as_they_are() -> None:
    model, other = net(0, batch_norm=True), net(1, batch_norm=True)
    _check_buffers(model, other, "copy", lambda mine, theirs: theirs)


def test_averaged_buffers_move_like_parameters_but_integers_are_copied() -> None:
    model, other = net(0, batch_norm=True), net(1, batch_norm=True)
    _check_buffers(
        model,
        other,
        "average",
        lambda mine, theirs: 0.75 * mine + 0.25 * theirs if mine.is_floating_point() else theirs,
    )


def test_skipped_buffers_stay() -> None:
    model, other = net(0, batch_norm=True), net(1, batch_norm=True)
    _check_buffers(model, other, "skip", lambda mine, theirs: mine)


def test_filters_choose_among_buffers_too() -> None:
    model, other = net(0, batch_norm=True), net(1, batch_norm=True)
    expected = state_of(model)
    expected["norm.running_mean"] = other.norm.running_mean.clone()
    operations.lerp(align(model, other, include="running_mean"), weight=0.25)
    assert_state(model, expected)
    expected["norm.running_var"] = other.norm.running_var.clone()
    operations.copy(align(model, other, include="running_var"))
    assert_state(model, expected)


def test_a_copy_has_the_buffers_too() -> None:
    model, other = net(0, batch_norm=True), net(1, batch_norm=True)
    operations.copy(model, other)
    assert_state(model, state_of(other))


def test_an_average_takes_the_buffers_of_the_first_model_read() -> None:
    model, others = net(0, batch_norm=True), [net(1, batch_norm=True), net(2, batch_norm=True)]
    operations.average(model, *others)
    for name in filter(is_buffer, model.state_dict()):
        assert torch.equal(model.state_dict()[name], others[0].state_dict()[name])


def _check_buffers(
    model: Net, other: Net, policy: str, formula: Callable[[Tensor, Tensor], Tensor]
) -> None:
    expected = {}
    for name, mine in state_of(model).items():
        theirs = other.state_dict()[name]
        rule = formula if is_buffer(name) else (lambda a, b: 0.75 * a + 0.25 * b)
        expected[name] = rule(mine, theirs)
    assert expected["norm.num_batches_tracked"].dtype == torch.int64
    operations.lerp(align(model, other, buffers=policy), weight=0.25)  # type: ignore[arg-type]
    assert_state(model, expected)


# --- one model alone


def test_perturb_adds_noise_of_the_given_size_to_every_parameter() -> None:
    model = nn.Sequential(nn.Linear(200, 200), nn.Linear(200, 200))
    before = deepcopy(model)
    operations.perturb(model, std=0.5, generator=torch.Generator().manual_seed(0))
    for new, old in zip(model.parameters(), before.parameters(), strict=True):
        noise = (new - old).detach()
        sigmas = 5 / noise.numel() ** 0.5
        assert abs(noise.mean()) < 0.5 * sigmas
        assert abs(noise.std() - 0.5) < 0.5 * sigmas


def test_perturb_draws_from_its_generator_alone() -> None:
    models = [net(0), net(0)]
    for model in models:
        torch.rand(3)
        operations.perturb(model, std=1.0, generator=torch.Generator().manual_seed(7))
    assert_state(models[0], state_of(models[1]))


def test_perturb_leaves_what_was_not_chosen_and_all_buffers_alone() -> None:
    model = net(0, batch_norm=True)
    before = state_of(model)
    operations.perturb(align(model, exclude="first"), std=1.0)
    unchanged = {k for k, v in model.state_dict().items() if torch.equal(v, before[k])}
    assert unchanged == {"first.weight", "first.bias"} | set(filter(is_buffer, before))


def test_reset_draws_new_weights_only_where_chosen() -> None:
    model = net(0, batch_norm=True)
    before = state_of(model)
    assert operations.reset(model, include="^second$") == ["second"]
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {"second.weight", "second.bias"}


def test_reset_of_all_but_one_layer_starts_the_others_anew() -> None:
    model = net(0, batch_norm=True)
    before = state_of(model)
    assert operations.reset(model, exclude="first") == ["second", "norm"]
    unchanged = {k for k, v in model.state_dict().items() if torch.equal(v, before[k])}
    assert unchanged == {"first.weight", "first.bias", "norm.weight", "norm.bias"}
    assert model.norm.num_batches_tracked == 0
    assert model.norm.running_mean.tolist() == [0, 0, 0]


def test_reset_draws_from_the_same_range_as_a_new_layer() -> None:
    layer = nn.Linear(100, 100)
    nn.init.constant_(layer.weight, 9.0)
    operations.reset(layer)
    assert layer.weight.abs().max() <= 0.1
    assert layer.weight.std() > 0.03


def test_clip_by_value_bounds_every_weight() -> None:
    model = net(0)
    expected = {name: weight.clamp(-0.1, 0.1) for name, weight in state_of(model).items()}
    operations.clip(model, max_value=0.1)
    assert_state(model, expected)


def test_clip_by_norm_scales_only_the_tensors_that_are_too_large() -> None:
    model = net(0)
    nn.init.constant_(model.first.weight, 2.0)
    nn.init.constant_(model.first.bias, 0.01)
    nn.init.zeros_(model.second.bias)
    expected = {
        name: weight * min(1.0, 0.5 / max(weight.norm().item(), 1e-12))
        for name, weight in state_of(model).items()
    }
    operations.clip(model, max_norm=0.5)
    assert_state(model, expected)
    assert model.first.weight.norm().item() == pytest.approx(0.5)


def test_clip_leaves_what_was_not_chosen_alone() -> None:
    model = net(0)
    before = state_of(model)
    operations.clip(align(model, include="second"), max_value=1e-3)
    assert torch.equal(model.first.weight, before["first.weight"])
    assert model.second.weight.abs().max() <= 1e-3


# --- the largest singular value


class Convolution(nn.Module):
    """A convolution, a linear layer and a normalisation, none of them square."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 6, (2, 3))
        self.linear = nn.Linear(40, 5)
        self.norm = nn.LayerNorm(5)


def exact_norms(model: nn.Module) -> Tensor:
    matrices = [t.detach().flatten(1) for t in model.parameters() if t.ndim > 1]
    return torch.stack([torch.linalg.matrix_norm(matrix, ord=2) for matrix in matrices])


def test_spectral_norms_are_the_largest_singular_values() -> None:
    torch.manual_seed(0)
    model = Convolution()
    norms, vectors = operations.spectral_norms(model, iterations=300)
    torch.testing.assert_close(torch.stack(norms), exact_norms(model))
    assert [len(vector) for vector in vectors] == [6, 5], "of every matrix, in order"
    largest = torch.linalg.svd(model.linear.weight.detach()).U[:, 0]
    assert abs(vectors[1] @ largest) == pytest.approx(1, abs=1e-3)


def test_spectral_norms_come_from_below_and_closer_with_the_vectors_that_are_kept() -> None:
    torch.manual_seed(0)
    model = Convolution()
    exact, vectors, before = exact_norms(model), None, torch.zeros(2)
    for _ in range(30):
        norms, vectors = operations.spectral_norms(model, vectors=vectors)
        assert (torch.stack(norms) <= exact * (1 + 1e-6)).all()
        assert (torch.stack(norms) >= before * (1 - 1e-6)).all()
        before = torch.stack(norms)
    at_once, _ = operations.spectral_norms(model, iterations=30)
    torch.testing.assert_close(torch.stack(at_once), before)


def test_spectral_norms_only_read_and_disturb_no_other_draw() -> None:
    model = net(0)
    before, state = state_of(model), torch.get_rng_state()
    _, vectors = operations.spectral_norms(model)
    kept = [vector.clone() for vector in vectors]
    operations.spectral_norms(model, vectors=vectors)
    assert_state(model, before)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(vectors, kept, strict=True))


def test_a_matrix_of_zeros_has_norm_0_and_is_followed_when_it_grows() -> None:
    layer = nn.Linear(4, 3)
    nn.init.zeros_(layer.weight)
    norms, vectors = operations.spectral_norms(layer)
    assert norms[0] == 0
    operations.clip(layer, max_spectral_norm=1.0)
    assert not layer.weight.any()
    nn.init.constant_(layer.weight, 2.0)
    norms, _ = operations.spectral_norms(layer, vectors=vectors, iterations=20)
    assert norms[0].item() == pytest.approx(2 * 12**0.5)


def test_spectral_norms_are_of_full_precision_under_autocast() -> None:
    model = nn.Linear(50, 50)
    plain, _ = operations.spectral_norms(model)
    with torch.autocast("cpu", torch.bfloat16):
        low, _ = operations.spectral_norms(model)
    assert torch.equal(plain[0], low[0])


def test_clip_by_spectral_norm_scales_only_the_matrices_that_are_too_large() -> None:
    torch.manual_seed(0)
    model = Convolution()
    nn.init.constant_(model.norm.weight, 50.0)
    exact = exact_norms(model)
    limit = float(exact.mean())
    assert exact[0] < limit < exact[1] or exact[1] < limit < exact[0]
    expected = state_of(model)
    for name, norm in zip(("convolution.weight", "linear.weight"), exact, strict=True):
        expected[name] *= min(1.0, limit / norm.item())
    operations.clip(model, max_spectral_norm=limit)
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-4, atol=1e-6)
    assert (exact_norms(model) <= limit * (1 + 1e-4)).all()


def test_clip_takes_norms_that_are_known() -> None:
    model = net(0)
    before = state_of(model)
    operations.clip(model, max_spectral_norm=1.0, norms=[torch.tensor(4.0), torch.tensor(0.5)])
    torch.testing.assert_close(model.first.weight.detach(), before["first.weight"] / 4)
    assert torch.equal(model.second.weight, before["second.weight"])


@pytest.mark.parametrize("iterations", [0, -1])
def test_no_iteration_at_all_is_refused(iterations: int) -> None:
    with pytest.raises(ValueError, match=f"iterations={iterations}: at least 1"):
        operations.spectral_norms(net(0), iterations=iterations)


# --- layers


def test_layers_are_chosen_by_their_names_and_have_weights() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Sequential(nn.Linear(3, 3), nn.Tanh()))
    assert list(operations.layers_with_weights(model)) == ["0", "2.0"]
    assert list(operations.layers_with_weights(model, include="^2")) == ["2.0"]
    assert list(operations.layers_with_weights(model, exclude="^2")) == ["0"]
    with pytest.raises(ValueError, match="no layer is chosen by include='1', exclude=None"):
        operations.layers_with_weights(model, include="1")


def test_layers_are_chosen_by_their_part_of_the_network() -> None:
    spec = EnvironmentSpec((84, 84), "uint8", 6, frame_stack=4)
    for network in (
        NatureCNN(dueling=True, head_hidden=8),
        NatureCNN(renormalised=True, layer_norm=True, noisy=True),
        Impala(num_blocks=1, pool=6, layer_norm=True, spectral_norm=True),
    ):
        model = QNetwork(spec, network.layer_list(), options=network)
        everything = operations.layers_with_weights(model)
        encoder = operations.layers_with_weights(model, part="encoder")
        after = operations.layers_with_weights(model, part="after_encoder")
        assert [*encoder, *after] == [*everything]
        weights = {layer: cast(nn.Parameter, layer.weight) for layer in everything.values()}
        assert all(weights[layer].ndim > 2 for layer in encoder.values())
        assert all(weights[layer].ndim < 3 for layer in after.values())
    only = operations.layers_with_weights(
        model, part="encoder", include="first", exclude="^torso.0"
    )
    assert list(only) == ["torso.2.2.first", "torso.4.2.first"]


def test_a_network_without_an_encoder_and_a_part_of_no_name_are_refused() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    assert list(operations.layers_with_weights(model, part="after_encoder")) == ["1"]
    with pytest.raises(ValueError, match=r"no layer is chosen by .* part='encoder'$"):
        operations.layers_with_weights(model, part="encoder")
    with pytest.raises(ValueError, match="part='head': choose encoder or after_encoder, or None"):
        operations.layers_with_weights(model, part="head")  # type: ignore[arg-type]


def test_redrawn_layers_are_those_of_the_seed_and_leave_the_old_ones_and_other_draws() -> None:
    model = net(0, batch_norm=True)
    layers = list(operations.layers_with_weights(model).values())
    before, state = state_of(model), torch.get_rng_state()
    first, again, other = (operations.redrawn(layers, seed=seed) for seed in (1, 1, 2))
    assert_state(model, before)
    assert torch.equal(torch.get_rng_state(), state)
    for one, two, three in zip(first[:2], again, other, strict=False):
        assert_state(one, state_of(two))
        assert not torch.equal(one.weight, three.weight)  # type: ignore[arg-type]
    torch.manual_seed(1)
    expected = nn.Linear(4, 3)
    assert_state(first[0], state_of(expected))
    assert first[2].running_mean.tolist() == [0, 0, 0]  # type: ignore[union-attr, operator]


def test_a_layer_that_can_not_be_drawn_anew_is_named() -> None:
    with pytest.raises(ValueError, match="ParameterList has weights but no reset_parameters"):
        operations.redrawn([nn.ParameterList([torch.ones(2)])], seed=0)


def test_who_looks_at_a_model_in_training_mode_leaves_its_statistics_alone() -> None:
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with operations.kept_buffers(model):
        model(torch.randn(5, 3) + 4)
        assert not torch.equal(model[0].running_mean, before["0.running_mean"])
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in before.items())
    model.register_forward_hook(lambda *_: model.missing)
    with pytest.raises(AttributeError), operations.kept_buffers(model):
        model(torch.randn(5, 3) + 4)
    assert torch.equal(model[0].running_mean, before["0.running_mean"])
