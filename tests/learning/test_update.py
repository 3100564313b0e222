"""One update: its gradients by hand, what is told of it, what learns, and who steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_dqn.learning import update as update_module
from lightning_dqn.learning.compilation import (
    DISTRIBUTIONAL_PAYS_BACK_AFTER_UPDATES,
    PAYS_BACK_AFTER_UPDATES,
    has_cxx_compiler,
)
from lightning_dqn.learning.loss_output import LossOutput
from lightning_dqn.learning.update import LearningStep, Update, trainable_parameters
from lightning_dqn.transitions import Transitions, UpdateStatistics

CPU = torch.device("cpu")

# Predictions -1 and 2, TD errors 2 and -1, so dL/dprediction is -2 and 1.
LOSS, Q_VALUE, TD_ERROR = (4 + 1) / 2, (-1 + 2) / 2, (2 + 1) / 2
WEIGHT_GRADIENT = [[-2 * 1 + 1 * 3, -2 * 2 + 1 * 1]]
BIAS_GRADIENT = [-2 + 1]
NORM = math.sqrt(1 + 9 + 1)


def linear() -> nn.Linear:
    network = nn.Linear(2, 1)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[1.0, -1.0]]))
        network.bias.zero_()
    return network


def squared_error(network: nn.Module) -> Callable[[Transitions], LossOutput]:
    """The mean square of reward minus prediction."""

    def loss(batch: Transitions) -> LossOutput:
        q_value = network(batch.observation).squeeze(1)
        td_error = batch.reward - q_value
        return LossOutput(td_error.square().mean(), td_error.detach(), q_value.detach())

    return loss


def make_update(network: nn.Module | None = None, **arguments: Any) -> Update:
    network = network or linear()
    return Update(squared_error(network), network, **{"compile": False, **arguments})


def batch(**changed: Any) -> Transitions:
    plain = Transitions(
        observation=torch.tensor([[1.0, 2.0], [3.0, 1.0]]),
        action=torch.tensor([0, 0]),
        reward=torch.tensor([1.0, 1.0]),
        discount=torch.zeros(2),
        next_observation=None,
        next_action_mask=None,
    )
    return plain._replace(**changed)


def prepare(update: Update, **changed: Any) -> None:
    usual: dict[str, Any] = {"expected_updates": 1, "device": CPU, "is_distributional": False}
    update.prepare(**{**usual, **changed})


# --- gradients, and what is told


def first_turn(update: Update, minibatch: Transitions) -> None:
    optimizer: Any = None  # it doesn't come to a step
    prepare(update)
    next(update.in_turn([minibatch], [], [], optimizer))


def test_a_parameter_that_is_not_used_is_refused_by_name() -> None:
    network = linear()
    network.extra = nn.Linear(2, 2)
    refusal = r"^network: the loss doesn't depend on extra\.weight, extra\.bias, .*requires_grad_"
    with pytest.raises(ValueError, match=refusal):
        first_turn(make_update(network), batch())


def test_another_error_of_the_loss_is_its_own() -> None:
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        first_turn(make_update(), batch(observation=torch.zeros(2, 5)))


def test_a_loss_that_is_a_tensor_alone_is_refused_with_what_it_returns_here() -> None:
    network = linear()
    update = Update(lambda batch: network(batch.observation).sum(), network, compile=False)  # type: ignore[arg-type,return-value]
    with pytest.raises(ValueError, match=r"^loss: returns a Tensor; return LossOutput\(loss, "):
        first_turn(update, batch())


def test_the_step_by_hand() -> None:
    step = make_update().step(batch())
    weight, bias = step.gradients
    assert weight.tolist() == WEIGHT_GRADIENT
    assert bias.tolist() == BIAS_GRADIENT
    assert step.priority.tolist() == [2.0, 1.0]


def test_statistics_come_in_the_order_of_their_names() -> None:
    statistics = UpdateStatistics.of(make_update().step(batch()).statistics)
    assert statistics.loss == LOSS
    assert statistics.q_value == Q_VALUE
    assert statistics.td_error == TD_ERROR
    assert statistics.gradient_norm.item() == pytest.approx(NORM)


def test_gradients_are_clipped_together_and_the_norm_is_told_as_it_was() -> None:
    weight, bias = make_update(max_gradient_norm=0.5).step(batch()).gradients
    torch.testing.assert_close(weight, torch.tensor(WEIGHT_GRADIENT) * 0.5 / NORM)
    torch.testing.assert_close(bias, torch.tensor(BIAS_GRADIENT) * 0.5 / NORM)
    statistics = UpdateStatistics.of(make_update(max_gradient_norm=0.5).step(batch()).statistics)
    assert statistics.gradient_norm.item() == pytest.approx(NORM)


def test_the_step_is_pure() -> None:
    update = make_update()
    first, second = update.step(batch()), update.step(batch())
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert all(parameter.grad is None for parameter in update.parameters)
    assert not any(part.requires_grad for part in (*first.gradients, *first[1:]))
    torch.testing.assert_close(update.network.state_dict(), linear().state_dict())


def test_gradients_are_given_out_as_they_come_and_made_safe_afterwards() -> None:
    """Between the two, several ranks would average them."""
    update = make_update(max_gradient_norm=1.0)
    output, gradients = update.gradients(batch())
    assert [gradient.tolist() for gradient in gradients] == [WEIGHT_GRADIENT, BIAS_GRADIENT]
    assert output.loss.item() == LOSS
    torch.testing.assert_close(update.safe_step(output, gradients), update.step(batch()))
    averaged = [gradient / 10 for gradient in gradients]
    step = update.safe_step(output, averaged)
    torch.testing.assert_close(step.gradients, averaged)
    statistics = UpdateStatistics.of(step.statistics)
    assert statistics.gradient_norm.item() == pytest.approx(NORM / 10), "of what was handed over"
    assert statistics.loss == LOSS


def test_a_losss_own_priority_is_the_one_told() -> None:
    network = linear()
    loss = squared_error(network)
    priority = torch.tensor([5.0, 7.0])
    update = Update(lambda b: loss(b)._replace(priority=priority), network, compile=False)
    assert update.step(batch()).priority.tolist() == [5.0, 7.0]


def test_statistics_are_single_precision_whatever_the_weights_are() -> None:
    network = linear().double()
    double = batch(observation=batch().observation.double(), reward=torch.ones(2).double())
    step = make_update(network).step(double)
    assert step.statistics.dtype == torch.float32
    assert [gradient.dtype for gradient in step.gradients] == [torch.float64] * 2


# --- what isn't finite


@pytest.mark.parametrize("reward", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("max_gradient_norm", [None, 1.0])
def test_a_loss_that_is_not_finite_zeroes_the_gradients_and_shows_in_the_norm(
    reward: float, max_gradient_norm: float | None
) -> None:
    step = make_update(max_gradient_norm=max_gradient_norm).step(
        batch(reward=torch.tensor([1.0, reward]))
    )
    assert [gradient.shape for gradient in step.gradients] == [(1, 2), (1,)]
    assert not any(gradient.any() for gradient in step.gradients)
    statistics = UpdateStatistics.of(step.statistics)
    assert not math.isfinite(statistics.loss)
    assert not math.isfinite(statistics.gradient_norm)
    assert statistics.q_value == Q_VALUE


def test_a_gradient_that_is_not_finite_zeroes_them_all_though_the_loss_is_finite() -> None:
    network = linear()

    def root(batch: Transitions) -> LossOutput:
        output = squared_error(network)(batch)
        return output._replace(loss=output.loss + network.bias.abs().sqrt().sum())  # at 0

    step = Update(root, network, compile=False).step(batch())
    assert not any(gradient.any() for gradient in step.gradients)
    statistics = UpdateStatistics.of(step.statistics)
    assert statistics.loss == LOSS
    assert not math.isfinite(statistics.gradient_norm)


# --- what learns


def test_parameters_that_learn_are_those_whose_requires_grad_is_set() -> None:
    network = linear()
    assert trainable_parameters(network) == [network.weight, network.bias]
    network.weight.requires_grad_(False)
    assert trainable_parameters(network) == [network.bias]


def test_prepare_looks_anew_at_what_learns() -> None:
    network = linear()
    update = make_update(network)
    network.weight.requires_grad_(False)
    prepare(update)
    step = update.learn(batch())
    assert [gradient.tolist() for gradient in step.gradients] == [BIAS_GRADIENT]
    norm = UpdateStatistics.of(step.statistics).gradient_norm
    assert norm == 1.0, "the norm of those that learn"
    network.weight.requires_grad_(True)
    prepare(update)
    assert [g.tolist() for g in update.learn(batch()).gradients] == [WEIGHT_GRADIENT, BIAS_GRADIENT]


def test_prepare_refuses_when_nothing_is_left_to_learn() -> None:
    network = linear()
    update = make_update(network)
    network.requires_grad_(False)
    with pytest.raises(ValueError, match="every parameter of q_network is frozen: nothing is left"):
        prepare(update)


# --- compiling


class Compiler:
    """Notes what it is asked to compile, and gives out a step that notes its calls."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.learned: list[Transitions] = []

    def __call__(self, step: Any, mode: Any, **options: Any) -> Any:
        self.asked.append((step, mode, options))

        def compiled(batch: Transitions) -> LearningStep:
            self.learned.append(batch)
            return step(batch)

        return compiled


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> Compiler:
    compiler = Compiler()
    monkeypatch.setattr(update_module, "compile_step", compiler)
    return compiler


@pytest.mark.parametrize("mode", [True, False, "auto"])
@pytest.mark.parametrize(
    ("is_distributional", "pays_back_after"),
    [(False, PAYS_BACK_AFTER_UPDATES), (True, DISTRIBUTIONAL_PAYS_BACK_AFTER_UPDATES)],
)
def test_the_whole_step_is_compiled_where_that_pays_back(
    compiler: Compiler, mode: Any, is_distributional: bool, pays_back_after: int
) -> None:
    update = make_update(compile=mode)
    prepare(update, expected_updates=77, is_distributional=is_distributional)
    options = {
        "expected_updates": 77,
        "device": CPU,
        "pays_back_after": pays_back_after,
        "buffers": [],
    }
    assert compiler.asked == [(update.step, mode, options)]


def test_learning_goes_by_the_compiled_step_once_there_is_one(compiler: Compiler) -> None:
    update, minibatch = make_update(), batch()
    expected = update.learn(minibatch)
    assert compiler.learned == [], "before, by the step itself"
    prepare(update)
    torch.testing.assert_close(update.learn(minibatch), expected)
    assert len(compiler.learned) == 1
    assert compiler.learned[0] is minibatch
    update.step(minibatch)
    assert len(compiler.learned) == 1, "the step itself stays as it is"


def test_what_learns_now_is_compiled_anew(compiler: Compiler) -> None:
    update = make_update()
    for _ in range(2):
        prepare(update)
    assert len(compiler.asked) == 2


# --- who steps


class Wrapper:
    """Lightning's wrapper of an optimizer, whose hooks look at the gradients."""

    def __init__(self, optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter]) -> None:
        self.optimizer = optimizer
        self.parameters = parameters
        self.seen: list[list[Tensor]] = []

    def step(self) -> None:
        self.seen.append([p.grad.clone() for p in self.parameters if p.grad is not None])
        self.optimizer.step()


def driven(kind: Any = torch.optim.SGD, **arguments: Any) -> tuple[Update, Any]:
    """Return an update that steps an optimizer of rate 0.1, and Lightning's wrapper of that."""
    update = make_update(**arguments)
    prepare(update)
    optimizer = kind(update.parameters, lr=0.1)
    update.drive(optimizer)
    return update, Wrapper(optimizer, update.parameters)


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam])
def test_lightnings_step_is_taken_for_the_last_update_alone(kind: Any) -> None:
    (ours, wrapper), (theirs, _) = driven(kind), driven(kind)
    optimizer = kind(theirs.parameters, lr=0.1)
    for update in range(3):
        gradients = ours.learn(batch()).gradients
        ours.apply(gradients, wrapper, is_last=update == 2)
        assert len(wrapper.seen) == int(update == 2)
        for parameter, gradient in zip(theirs.parameters, gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()
        torch.testing.assert_close(
            ours.network.state_dict(), theirs.network.state_dict(), rtol=0, atol=0
        )
    torch.testing.assert_close(wrapper.seen, [gradients])


def test_a_call_learns_and_applies() -> None:
    update, wrapper = driven(max_gradient_norm=1.0)
    expected = update.step(batch())
    found = update(batch(), wrapper, is_last=False)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    weight, bias = expected.gradients
    torch.testing.assert_close(update.network.weight, linear().weight - 0.1 * weight)
    torch.testing.assert_close(update.network.bias, linear().bias - 0.1 * bias)
    assert wrapper.seen == []
    update(batch(), wrapper, is_last=True)
    assert len(wrapper.seen) == 1


FUSED = {
    "adam": partial(torch.optim.Adam, fused=True),
    "adamw": partial(torch.optim.AdamW, fused=True),
    "sgd": partial(torch.optim.SGD, fused=True, momentum=0.9),
}
LAYOUTS = {"first": torch.contiguous_format, "last": torch.channels_last}


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize("weights", LAYOUTS)
@pytest.mark.parametrize("images", LAYOUTS)
@pytest.mark.parametrize("kind", FUSED)
def test_convolutions_learn_as_by_backward_and_an_optimizer_that_is_not_fused(
    kind: str, images: str, weights: str, compile: bool
) -> None:
    """Gradients of images whose channels are last lie otherwise than the weights.

    The fused optimizers of a CPU then give every weight what is another's (seen in 2.13).
    """
    if compile and not has_cxx_compiler():
        pytest.skip("no C++ compiler")
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 4, 2), nn.ReLU(), nn.Conv2d(4, 2, 2), nn.Flatten(), nn.Linear(18, 1)
    network = nn.Sequential(*layers).to(memory_format=LAYOUTS[weights])
    twin = deepcopy(network)
    pictures = [torch.randn(2, 3, 5, 5).to(memory_format=LAYOUTS[images]) for _ in range(3)]
    update = make_update(network, compile=compile)
    prepare(update)
    optimizer = FUSED[kind](update.parameters, lr=0.1)
    update.drive(optimizer)
    wrapper: Any = Wrapper(optimizer, update.parameters)
    slow = FUSED[kind](twin.parameters(), lr=0.1, fused=False)
    for number, picture in enumerate(pictures):
        minibatch = batch(observation=picture)
        update(minibatch, wrapper, is_last=number == 0)
        slow.zero_grad()
        squared_error(twin)(minibatch).loss.backward()  # type: ignore[no-untyped-call]
        slow.step()
        torch.testing.assert_close(network.state_dict(), twin.state_dict(), rtol=1e-4, atol=1e-5)
    for parameter in update.parameters:
        assert all(
            value.stride() == parameter.stride()
            for value in optimizer.state[parameter].values()
            if value.dim()
        )


@pytest.mark.parametrize("is_last", [False, True])
def test_a_gradient_too_few_is_refused(is_last: bool) -> None:
    update, wrapper = driven()
    gradients = update.learn(batch()).gradients
    with pytest.raises(ValueError):
        update.apply(gradients[:1], wrapper, is_last=is_last)


@pytest.mark.parametrize("is_last", [False, True])
def test_an_update_that_was_not_finite_leaves_the_weights_of_plain_descent(is_last: bool) -> None:
    update, wrapper = driven()
    update(batch(reward=torch.tensor([1.0, math.nan])), wrapper, is_last=is_last)
    torch.testing.assert_close(update.network.state_dict(), linear().state_dict(), rtol=0, atol=0)
