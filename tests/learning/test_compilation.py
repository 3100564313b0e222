"""When the learning step is compiled, and that it then computes the same."""

from __future__ import annotations

import logging
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from lightning_dqn import DQN, EnvironmentSpec
from lightning_dqn.callbacks import EMATargetNetwork
from lightning_dqn.learning import compilation
from lightning_dqn.learning.compilation import (
    MOST_COMPILATIONS,
    PAYS_BACK_AFTER_UPDATES,
    compile_step,
    has_cxx_compiler,
)
from lightning_dqn.learning.loss_output import LossOutput
from lightning_dqn.learning.targets import Munchausen, Target
from lightning_dqn.networks.heads.categorical import CategoricalHead
from lightning_dqn.networks.heads.quantile import (
    ImplicitQuantileHead,
    ProposedQuantileHead,
    QuantileHead,
)
from lightning_dqn.networks.heads.scalar import ScalarHead
from lightning_dqn.networks.torsos import Impala
from lightning_dqn.transitions import Transitions

# The compiler of torch 2.9 to 2.13 uses parts of torch that torch itself deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")

CPU = torch.device("cpu")


def eager(batch: Tensor) -> tuple[list[Tensor], Tensor]:
    return [2 * batch], batch.sum()


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A compiler that notes what it gets and changes nothing."""
    compiled: list[Any] = []

    def compile_(step: Any, **options: Any) -> Any:
        compiled.append(step)
        return step

    monkeypatch.setattr(torch, "compile", compile_)
    monkeypatch.setattr(compilation, "has_cxx_compiler", lambda: True)
    return compiled


def _lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == compilation.__name__]


@pytest.mark.parametrize("mode", ["always", "true", None, 2])
def test_an_unknown_mode_is_refused_with_the_known_ones(mode: Any) -> None:
    with pytest.raises(ValueError, match=f"compile={mode!r}: choose auto, true or false"):
        compile_step(eager, mode, expected_updates=1, device=CPU)


@pytest.mark.parametrize(
    ("mode", "expected_updates", "is_compiled"),
    [
        (False, None, False),
        (True, 1, True),
        ("auto", PAYS_BACK_AFTER_UPDATES - 1, False),
        ("auto", PAYS_BACK_AFTER_UPDATES, True),
        ("auto", None, True),
    ],
)
def test_auto_compiles_where_the_updates_pay_it_back(
    compiler: list[Any], mode: Any, expected_updates: int | None, is_compiled: bool
) -> None:
    step = compile_step(eager, mode, expected_updates=expected_updates, device=CPU)
    assert compiler == [eager] * is_compiled
    assert (step is eager) is not is_compiled


@pytest.mark.parametrize(("mode", "expected_updates"), [(True, 1), ("auto", None)])
def test_without_a_compiler_learning_is_eager_with_one_line_of_notice(
    compiler: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    mode: Any,
    expected_updates: int | None,
) -> None:
    monkeypatch.setattr(compilation, "has_cxx_compiler", lambda: False)
    step = compile_step(eager, mode, expected_updates=expected_updates, device=CPU)
    assert step is eager
    assert compiler == []
    [line] = _lines(caplog)
    assert "no C++ compiler" in line
    assert "\n" not in line


@pytest.mark.parametrize(("mode", "expected_updates"), [(False, None), ("auto", 1)])
def test_who_does_not_want_a_compiler_is_not_told_that_it_is_missing(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    mode: Any,
    expected_updates: int | None,
) -> None:
    monkeypatch.setattr(compilation, "has_cxx_compiler", lambda: False)
    compile_step(eager, mode, expected_updates=expected_updates, device=CPU)
    assert _lines(caplog) == []


def test_an_accelerator_needs_no_cxx_compiler(
    compiler: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compilation, "has_cxx_compiler", lambda: False)
    compile_step(eager, True, expected_updates=1, device=torch.device("cuda"))
    assert compiler == [eager]


def test_a_step_that_does_not_compile_runs_eagerly_with_one_line_of_notice(
    compiler: list[Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(batch: Tensor) -> Any:
        raise RuntimeError("graph break\nand a hundred lines more")

    monkeypatch.setattr(torch, "compile", lambda step, **options: broken)
    step = compile_step(eager, True, expected_updates=1, device=CPU)
    for _ in range(3):
        [gradient], _ = step(torch.ones(2))
        assert gradient.tolist() == [2.0, 2.0]
    [line] = _lines(caplog)
    assert line.endswith("graph break")


class ByUpdates(DQN):
    """Its loss reads a counter."""

    def loss(self, batch: Transitions) -> LossOutput:
        output = super().loss(batch)
        return output._replace(loss=output.loss * (1 + self.updates))


def test_a_loss_that_reads_a_counter_is_right_at_each_update_and_soon_not_compiled_anew(
    make_batch: Callable[..., Transitions],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    read = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda step, **options: read(step, backend="eager", dynamic=False)
    )
    monkeypatch.setattr(compilation, "has_cxx_compiler", lambda: True)
    module, plain = ByUpdates("CartPole-v1", compile=True), DQN("CartPole-v1", compile=True)
    for each in (module, plain):
        each.update.prepare(expected_updates=None, device=CPU, is_distributional=False)
    assert plain.update.most_in_a_graph > 1
    assert module.update.most_in_a_graph == 0, "within a graph the counter would stand still"
    batch = make_batch()
    compiled: Any = module.update._step
    for updates in range(2 * MOST_COMPILATIONS):
        module.updates = updates
        before = compiled.has_failed
        made = module.update.learn(batch)
        expected = module.update.step(batch)
        torch.testing.assert_close(made, expected)
        assert before is (updates >= MOST_COMPILATIONS)
    [line] = _lines(caplog)
    assert line.startswith("the step reads a number that changes, as self.updates")


@pytest.mark.parametrize("which", [0, 1])
def test_a_compiled_step_that_gives_other_numbers_is_not_used(
    compiler: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    which: int,
) -> None:
    def wrong(batch: Tensor) -> Any:
        [gradient], statistics = eager(batch)
        return [gradient * (1.01 if which == 0 else 1)], statistics * (1.01 if which == 1 else 1)

    monkeypatch.setattr(torch, "compile", lambda step, **options: wrong)
    step = compile_step(eager, True, expected_updates=1, device=CPU)
    for _ in range(3):
        [gradient], statistics = step(torch.ones(2))
        assert (gradient.tolist(), statistics.item()) == ([2.0, 2.0], 2.0)
    assert len(_lines(caplog)) == 1


@pytest.mark.parametrize(("gap", "is_used"), [(3e-8, True), (3e-5, False)])
def test_a_gradient_that_is_rounding_beside_the_others_may_differ_by_that(
    compiler: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    gap: float,
    is_used: bool,
) -> None:
    """As that of a bias before a BatchNorm, which is 0 but for rounding."""

    def step(batch: Tensor, bias: float = 2e-8) -> tuple[tuple[Tensor, ...], Tensor]:
        return (batch, torch.full((3,), bias)), batch.sum()

    monkeypatch.setattr(
        torch, "compile", lambda _, **options: lambda batch: step(batch, 2e-8 + gap)
    )
    compiled = compile_step(step, True, expected_updates=1, device=CPU)
    (_, bias), _ = compiled(torch.ones(2))
    assert (float(bias[0]) != pytest.approx(2e-8)) is is_used
    assert len(_lines(caplog)) == (not is_used)


def test_a_compiled_step_that_agrees_is_used_also_on_numbers_that_are_not_finite(
    compiler: list[Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls = []

    def same(batch: Tensor) -> Any:
        calls.append(1)
        return eager(batch)

    monkeypatch.setattr(torch, "compile", lambda step, **options: same)
    step = compile_step(eager, True, expected_updates=1, device=CPU)
    for _ in range(3):
        step(torch.tensor([1.0, torch.nan]))
    assert len(calls) == 4, "once more on the first minibatch, to check"
    assert _lines(caplog) == []


@pytest.mark.parametrize("by_name", [False, True])
def test_a_check_goes_by_float32_itself_unless_convolutions_were_told_by_name(
    by_name: bool,
) -> None:
    convolutions: Any = torch.backends.cudnn.conv  # type: ignore[attr-defined]
    before = convolutions.fp32_precision
    try:
        if by_name:
            convolutions.fp32_precision = "ieee"  # the common name can't be read then
        with compilation._by_float32_itself(torch.device("cuda")):
            assert convolutions.fp32_precision != "tf32"
        with compilation._by_float32_itself(CPU):
            assert convolutions.fp32_precision == ("ieee" if by_name else before)
    finally:
        convolutions.fp32_precision = before
    assert before == "tf32"


def noisy(batch: Tensor) -> tuple[list[Tensor], Tensor]:
    """Noise on either factor; the compiler may draw the second first."""
    first, second = torch.randn(len(batch)), torch.randn(len(batch))
    return [(batch + first) * (1 + 0.1 * second)], (batch * second).sum()


def noisy_in_another_order(batch: Tensor) -> tuple[list[Tensor], Tensor]:
    second, first = torch.randn(len(batch)), torch.randn(len(batch))
    return [(batch + first) * (1 + 0.1 * second)], (batch * second).sum()


def test_a_compiled_step_may_take_its_draws_in_another_order(
    compiler: list[Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch, "compile", lambda step, **options: noisy_in_another_order)
    step = compile_step(noisy, True, expected_updates=1, device=CPU)
    batch = torch.linspace(-2, 2, 50)
    torch.manual_seed(3)
    found = step(batch)
    assert _lines(caplog) == []
    torch.manual_seed(3)
    torch.testing.assert_close(found, noisy_in_another_order(batch), rtol=0, atol=0)


@pytest.mark.parametrize(
    "change",
    [
        lambda gradient, told: (gradient + 2.0, told),
        lambda gradient, told: (gradient * 3.0, told),
        lambda gradient, told: (gradient.flip(0), told),
        lambda gradient, told: (gradient, told + 30),
        lambda gradient, told: (gradient.index_fill(0, torch.tensor([7]), 30.0), told),
        lambda gradient, told: (gradient * torch.nan, told),
    ],
)
def test_a_compiled_step_that_draws_is_refused_where_its_numbers_are_others_on_average(
    compiler: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    change: Any,
) -> None:
    def wrong(batch: Tensor) -> Any:
        [gradient], told = noisy_in_another_order(batch)
        gradient, told = change(gradient, told)
        return [gradient], told

    monkeypatch.setattr(torch, "compile", lambda step, **options: wrong)
    step = compile_step(noisy, True, expected_updates=1, device=CPU)
    step(torch.linspace(-2, 2, 50))
    [line] = _lines(caplog)
    assert "disagrees" in line


def test_the_compiler_that_cxx_names_is_the_one_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CXX", sys.executable)
    assert has_cxx_compiler()
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert not has_cxx_compiler()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other compilers")
@pytest.mark.parametrize(("name", "found"), [("g++", True), ("clang++", False)])
def test_only_a_compiler_that_torch_would_call_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, found: bool
) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / name).touch()
    (tmp_path / name).chmod(stat.S_IRWXU)
    assert has_cxx_compiler() is found


IMAGES = EnvironmentSpec((44, 44), "uint8", 3, frame_stack=4)


def beyond_the_rainbow() -> DQN:
    """The preset's parts, small: norms of which each pass moves the directions."""
    torch.manual_seed(0)
    network = Impala(
        num_blocks=1,
        hidden=None,
        spectral_norm=True,
        pool=4,
        head_hidden=8,
        dueling=True,
        noisy=True,
    )
    target = Target(double=False, munchausen=Munchausen())
    head = ImplicitQuantileHead(4, num_evaluation_quantiles=3, num_cosines=8)
    module = DQN(IMAGES, network=network, head=head, target=target, compile=True).train()
    assert module.target_network is not None
    module.target_network.eval()
    return module


def frames(size: int = 8) -> Transitions:
    generator = torch.Generator().manual_seed(1)
    pictures = torch.randint(
        256, (2, size, 4, *IMAGES.observation_shape), dtype=torch.uint8, generator=generator
    )
    return Transitions(
        observation=pictures[0],
        action=torch.randint(3, (size,), generator=generator),
        reward=torch.randn(size, generator=generator),
        discount=torch.full((size,), 0.9),
        next_observation=pictures[1],
        next_action_mask=None,
    )


def test_a_checked_update_moves_the_networks_buffers_once(compiler: list[Any]) -> None:
    found, expected = beyond_the_rainbow(), beyond_the_rainbow()
    found.update.prepare(expected_updates=None, device=CPU, is_distributional=True)
    before = [buffer.clone() for buffer in expected.q_network.buffers()]
    for _ in range(2):
        torch.manual_seed(0)
        found.update.learn(frames())
        torch.manual_seed(0)
        expected.update.step(frames())
    assert compiler == [found.update.step]
    buffers = list(found.q_network.buffers()), list(expected.q_network.buffers())
    torch.testing.assert_close(*buffers, rtol=0, atol=0)
    assert any(not torch.equal(*pair) for pair in zip(before, buffers[1], strict=True))


@pytest.mark.skipif(not has_cxx_compiler(), reason="no C++ compiler")
@pytest.mark.slow
def test_an_update_that_moves_buffers_is_compiled_and_agrees(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    found, expected = beyond_the_rainbow(), beyond_the_rainbow()
    found.update.prepare(expected_updates=None, device=CPU, is_distributional=True)
    for seed in range(2):
        made = _seeded(seed, found.update.learn, frames())
        wanted = _seeded(seed, expected.update.step, frames())
        torch.testing.assert_close(made, wanted, atol=1e-5, rtol=1e-4)
    buffers = list(found.q_network.buffers()), list(expected.q_network.buffers())
    torch.testing.assert_close(*buffers, atol=1e-5, rtol=1e-4)
    assert _lines(caplog) == [], "it was compiled"


class Comparison(pl.Callback):
    """Holds a compiled loss_and_gradients against the eager one, in the modes of a fit."""

    def __init__(self, make_batch: Callable[..., Any]) -> None:
        self.make_batch = make_batch
        self.compared = 0

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any
    ) -> None:
        if self.compared:
            return
        assert isinstance(pl_module, DQN)
        if pl_module.target.slow_copy:
            assert not pl_module.target_network.training
        step = compile_step(
            pl_module.update.step, True, expected_updates=None, device=pl_module.device
        )
        for seed in range(3):
            batch = self.make_batch(seed=seed)
            batch = batch._replace(weight=torch.rand(len(batch.action)))
            found, expected = (_seeded(seed, one, batch) for one in (step, pl_module.update.step))
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
            for weight in pl_module.q_network.parameters():  # compiled code must read them anew
                nn.init.uniform_(weight, -1, 1)
            self.compared += 1
        poisoned = batch._replace(reward=batch.reward * torch.nan)
        gradients, _, _, _ = step(poisoned)
        assert not any(gradient.any() for gradient in gradients)


def _seeded(seed: int, step: Callable[..., Any], batch: Any) -> Any:
    torch.manual_seed(seed)
    return step(batch)


SMALL_IMPLICIT = ImplicitQuantileHead(6, num_evaluation_quantiles=5, num_cosines=8)
SMALL_PROPOSED = ProposedQuantileHead(6, num_cosines=8)
COMPILED = {
    "default": {},
    "rainbow": {"head": CategoricalHead(9, -5.0, 5.0), "dueling": True, "noisy": True},
    "M-IQN": {"head": SMALL_IMPLICIT, "munchausen": Munchausen()},
    "FQF": {"head": SMALL_PROPOSED, "layer_norm": True, "noisy": True},
}
COMPILED_SLOWLY = {
    "mse": {"head": ScalarHead(error="mse"), "double": False},
    "alone": {"double": False, "slow_copy": False, "layer_norm": True},
    "noisy": {"noisy": True},
    "M-DQN": {"munchausen": Munchausen(), "double": False},
    "C51": {"head": CategoricalHead()},
    "M-C51": {"head": CategoricalHead(9, -5.0, 5.0), "munchausen": Munchausen()},
    "QR": {"head": QuantileHead(7), "dueling": True},
    "QR of one": {"head": QuantileHead(1), "noisy": True},
    "M-QR": {"head": QuantileHead(7, huber_threshold=0.0), "munchausen": Munchausen()},
    "IQN": {"head": SMALL_IMPLICIT, "noisy": True, "dueling": True},
    "IQN alone": {"head": SMALL_IMPLICIT, "double": False, "slow_copy": False},
    "M-FQF": {
        "head": SMALL_PROPOSED,
        "noisy": True,
        "dueling": True,
        "munchausen": Munchausen(),
    },
    "FQF of one": {"head": ProposedQuantileHead(1, num_cosines=8)},
}


@pytest.mark.skipif(not has_cxx_compiler(), reason="no C++ compiler")
@pytest.mark.parametrize(
    "arguments",
    [
        *(pytest.param(arguments, id=name) for name, arguments in COMPILED.items()),
        *(
            pytest.param(arguments, id=name, marks=pytest.mark.slow)
            for name, arguments in COMPILED_SLOWLY.items()
        ),
    ],
)
def test_the_compiled_loss_and_gradients_are_those_of_the_eager_ones(
    make_trainer: Any,
    make_data: Any,
    make_module: Any,
    make_batch: Any,
    caplog: pytest.LogCaptureFixture,
    arguments: dict[str, Any],
) -> None:
    caplog.set_level(logging.WARNING)
    comparison = Comparison(make_batch)
    module = make_module(compile=False, max_gradient_norm=0.5, **arguments)
    moves = [EMATargetNetwork(tau=0.1)] if module.target.slow_copy else []
    make_trainer(callbacks=[*moves, comparison]).fit(module, make_data())
    assert comparison.compared == 3
    assert _lines(caplog) == [], "it was compiled"
