"""Whether and how the learning step is compiled."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, Literal, cast

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from lightning_dqn.learning.vector_instructions import asked_in_this_process
from lightning_dqn.system.faults import first_line
from lightning_dqn.system.startup import uncollected

log = logging.getLogger(__name__)

Compile = bool | Literal["auto"]
Step = Callable[[Any], Any]
"""From a minibatch to tensors in tuples and lists."""

Compiler = Callable[..., Callable[..., Any]]
"""From ``options`` of torch's compiler to a compiled function."""

PAYS_BACK_AFTER_UPDATES = 50_000
"""Below this many updates the seconds of compiling a small network are not won back."""

DISTRIBUTIONAL_PAYS_BACK_AFTER_UPDATES = 4_000
"""The same where every action has many outputs: uncompiled, each update then takes ten times as
long, for its large temporaries."""

GRAPHS_PAY_BACK_AFTER_UPDATES = 250_000
"""Below this many it doesn't pay to compile several updates as one graph, optimizer included: the
compiler takes some twenty seconds more, and each update of a small network a third less."""

MOST_UPDATES_IN_A_GRAPH = 5
"""More give little and take the compiler longer still."""

MOST_WEIGHTS_OF_GRAPHS = 100_000
"""In larger networks, or where each action has many outputs, an update takes so long that what
several in one graph save is little beside it, and the compiler takes far longer."""


def compile_step(
    step: Step,
    mode: Compile,
    *,
    expected_updates: int | None,
    device: torch.device,
    pays_back_after: int = PAYS_BACK_AFTER_UPDATES,
    buffers: Sequence[Tensor] = (),
) -> Step:
    """Return ``step``, compiled where that was asked for and is possible.

    Args:
        step: from a minibatch to tensors; may take gradients and draw random numbers inside.
        mode: True, False, or ``"auto"``: where the updates of the run pay it back.
        expected_updates: of the whole run; None means without end.
        device: where the tensors lie.
        pays_back_after: updates.
        buffers: that the step may move, as statistics; the check before the first leaves no trace.
    """
    if not isinstance(mode, bool) and mode != "auto":
        raise ValueError(f"compile={mode!r}: choose auto, true or false")
    if not is_wanted(mode, expected_updates, pays_back_after):
        return step
    if device.type == "cpu" and not has_cxx_compiler():
        log.warning("no C++ compiler found (install g++ or set CXX): learning runs uncompiled")
        return step
    return CheckedCompiledStep(step, device, changed=lambda *_: list(buffers))


def pays_back_after(is_distributional: bool) -> int:
    """Return the updates after which compiling has paid.

    Args:
        is_distributional: every action has many outputs.
    """
    return DISTRIBUTIONAL_PAYS_BACK_AFTER_UPDATES if is_distributional else PAYS_BACK_AFTER_UPDATES


def is_wanted(
    mode: Compile, expected_updates: int | None, pays_back_after: int = PAYS_BACK_AFTER_UPDATES
) -> bool:
    """Return whether a run of so many updates is to be compiled; None means without end."""
    many = expected_updates is None or expected_updates >= pays_back_after
    return mode is True or (mode == "auto" and many)


def updates_in_a_graph(
    expected_updates: int | None, *, num_weights: int, is_distributional: bool
) -> int:
    """Return how many updates at most are compiled as one graph, where compiling is wanted.

    Args:
        expected_updates: of the whole run; None means without end.
        num_weights: of the network.
        is_distributional: every action has many outputs.

    Returns:
        0 where each is better compiled by itself, without the optimizer's step.
    """
    many = expected_updates is None or expected_updates >= GRAPHS_PAY_BACK_AFTER_UPDATES
    is_small = num_weights <= MOST_WEIGHTS_OF_GRAPHS and not is_distributional
    return MOST_UPDATES_IN_A_GRAPH if many and is_small else 0


MOST_COMPILATIONS = 4
"""A step that the compiler has read more often reads a number that changes, as ``self.updates``."""

_LAUNCHES = {"cpu": "cpp_wrapper", "cuda": "triton.cudagraphs"}
"""The compiler's option, by kind of device, that lets one call launch all kernels of a step."""


class CheckedCompiledStep:
    """A compiled step that is held against the uncompiled one on its first arguments.

    If it can't be compiled, gives other numbers, or has to be compiled again and again, the
    uncompiled one is used and one line says so. On a GPU its kernels are recorded as a CUDA graph
    and launched together: of a small network launching them one by one takes longer than they do.

    Args:
        step: to compile.
        device: where its tensors lie.
        compiled: what returns the compiled step; None: torch's compiler reads all of it.
        changed: from the step's arguments to the tensors that it changes in place; the check
            leaves them as they were.
        instead: what a failure leads to, in words.

    Attributes:
        has_failed: the step can't be compiled; what is called is the uncompiled one.
    """

    def __init__(
        self,
        step: Callable[..., Any],
        device: torch.device,
        *,
        compiled: Compiler | None = None,
        changed: Callable[..., list[Tensor]] | None = None,
        instead: str = "learning runs uncompiled",
    ) -> None:
        # Lets the compiler trace torch.autograd.grad, so that loss and gradients are one graph.
        with uncollected():
            torch._dynamo.config.trace_autograd_ops = True
            # A sweep trains many networks in one process; beyond its limit it would stop compiling.
            torch._dynamo.config.recompile_limit = max(64, torch._dynamo.config.recompile_limit)
        # Random numbers are those of torch's own generators, which a checkpoint holds.
        options: dict[str, Any] = {"fallback_random": True}
        self._is_recorded = device.type == "cuda"
        if device.type in _LAUNCHES:
            options[_LAUNCHES[device.type]] = True
        self._eager = step
        self._step = (compiled or partial(torch.compile, step))(options=options)
        self._is_checked = False
        self._compilations = 0
        self._device = device
        self._changed = changed or (lambda *_: [])
        self._instead = instead
        self.has_failed = False

    def __call__(self, *arguments: Any) -> Any:
        """Return what the step returns."""
        before = _graphs_so_far()
        if not self._is_checked:
            self.check(*arguments)
        result = self._run(self._step, arguments)
        if _graphs_so_far() != before:
            self._count_compilation()
        return result

    def _count_compilation(self) -> None:
        self._compilations += 1
        if self._compilations >= MOST_COMPILATIONS and not self.has_failed:
            self._fail(
                "the step reads a number that changes, as self.updates, and is compiled anew for "
                f"each value: {self._instead}. Keep the number in a tensor that is filled anew"
            )

    def _run(self, step: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        if not self._is_recorded:
            return step(*arguments)
        torch.compiler.cudagraph_mark_step_begin()
        return _copied(step(*arguments))

    def check(self, *arguments: Any) -> None:
        """Compile, and hold the first numbers against the uncompiled step's; changes nothing."""
        self._is_checked = True
        with _by_float32_itself(self._device):
            expected, expected_changes = self._tried(self._eager, arguments)
        try:
            with uncollected(), asked_in_this_process():
                with _by_float32_itself(self._device):
                    found, found_changes = self._tried(self._step, arguments)
                if self._is_recorded:
                    self._tried(self._step, arguments)  # the second call is what records
        except Exception as error:
            # Whatever a compiler may throw: learning goes on without it.
            reason = first_line(error)
            self._fail(f"compiling failed, {self._instead}: {reason}")
            return
        agree = _agree(expected, found) and _are_close(expected_changes, found_changes)
        if not agree and not self._agrees_on_average(arguments):
            self._fail(f"the compiled step disagrees with the uncompiled one, {self._instead}")

    def _agrees_on_average(self, arguments: tuple[Any, ...]) -> bool:
        """Tell whether a step that draws random numbers gives the same ones on average.

        Between what it computes the compiler may take draws in another order: then the numbers of
        one step differ, and those of many don't.
        """
        with same_draws(self._device):
            eager = self._averages(self._eager, arguments)
            compiled = self._averages(self._step, arguments)
        return all(one.is_near(other) for one, other in zip(eager, compiled, strict=True))

    def _averages(self, step: Callable[..., Any], arguments: tuple[Any, ...]) -> list[_Average]:
        averages: list[_Average] = []
        for seed in range(_DRAWS):
            torch.manual_seed(seed)
            leaves = tree_leaves(self._tried(step, arguments))
            averages = averages or [_Average() for _ in leaves]
            for average, leaf in zip(averages, leaves, strict=True):
                average.add(leaf)
        return averages

    def _fail(self, line: str) -> None:
        log.warning("%s", line)
        self.has_failed = True
        self._step, self._is_recorded = self._eager, False

    @torch.no_grad()
    def _tried(
        self, step: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> tuple[Any, list[Tensor]]:
        """Return what a step returns and what it makes of its tensors, and leave them be."""
        changed = self._changed(*arguments)
        before = [tensor.clone() for tensor in changed]
        try:
            with same_draws(self._device), torch.enable_grad():
                result = self._run(step, arguments)
            return result, [tensor.clone() for tensor in changed]
        finally:
            for tensor, value in zip(changed, before, strict=True):
                tensor.copy_(value)


_DRAWS = 64
"""Steps over which those of other draws are averaged."""


class _Average:
    """What a tensor is on average over several draws."""

    def __init__(self) -> None:
        self.number = 0
        self.sum: Any = 0.0
        self.squares: Any = 0.0

    def add(self, value: Tensor) -> None:
        """Add one draw."""
        self.number += 1
        self.sum = self.sum + value.double()
        self.squares = self.squares + value.double().square()

    def mean(self) -> Tensor:
        """Return it, float64."""
        return cast(Tensor, self.sum / self.number)

    def error(self) -> float:
        """Return its squared standard error, summed over its elements."""
        variance = self.squares / self.number - self.mean().square()
        return float(variance.clamp_min(0).sum() / (self.number - 1))

    def is_near(self, other: _Average) -> bool:
        """Tell whether two means differ by no more than five standard errors, or by rounding."""
        gap = float((self.mean() - other.mean()).square().sum())
        rounding = 1e-6 * float(self.mean().square().sum())
        return gap <= 25 * (self.error() + other.error()) + rounding


def _graphs_so_far() -> int:
    """Return how many graphs the compiler has read in this process."""
    counts: int = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    return counts


def keep_in_place(tensors: Iterable[Tensor]) -> None:
    """Tell the compiler that these are changed in place and never move, for steps on a GPU."""
    for tensor in tensors:
        if tensor.is_cuda:
            torch._dynamo.mark_static_address(tensor)


def same_draws(device: torch.device) -> AbstractContextManager[None]:
    """Leave torch's random state, the device's too, afterwards as it was before."""
    if device.type == "cpu":
        return torch.random.fork_rng(devices=[])
    return torch.random.fork_rng(devices=[device], device_type=device.type)


def has_cxx_compiler() -> bool:
    """Tell whether the compiler that torch would call on the CPU is there."""
    default = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    return shutil.which(os.environ.get("CXX", default)) is not None


def _copied(result: Any) -> Any:
    """Return a recorded step's tensors where its next replay leaves them alone, by one launch."""
    leaves, structure = tree_flatten(result)
    return tree_unflatten(torch._foreach_add(leaves, 0), structure)


def _agree(expected: Any, found: Any) -> bool:
    """Tell whether all tensors are equal up to the rounding of their precision.

    Those of one list, as gradients are, may also differ by what is rounding beside the largest of
    them: the gradient of a bias before a normalisation is nothing else.
    """
    low = torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda")
    relative, of_largest = (5e-2, 1e-3) if low else (1e-3, 1e-6)

    def agree(one: Any, other: Any, floor: float) -> bool:
        if isinstance(one, Tensor):
            margin = relative * _largest(one) + floor
            return torch.allclose(one, other, rtol=relative, atol=margin, equal_nan=True)
        of_one_kind = not hasattr(one, "_fields")  # as those of a NamedTuple aren't
        sizes = [_largest(part) for part in one if of_one_kind and isinstance(part, Tensor)]
        floor = of_largest * max(sizes, default=0.0)
        return all(agree(*pair, floor) for pair in zip(one, other, strict=True))

    return agree(expected, found, 0.0)


def _largest(tensor: Tensor) -> float:
    """Return the largest of its finite numbers' sizes."""
    return float(tensor.nan_to_num(0.0, 0.0, 0.0).abs().max())


@contextmanager
def _by_float32_itself(device: torch.device) -> Iterator[None]:
    """Let a GPU's convolutions multiply all 24 bits of their numbers.

    Unless told otherwise they take 11 of them, and two ways to the same gradient then differ by
    percents.
    """
    try:
        before = device.type == "cuda" and torch.backends.cudnn.allow_tf32
    except RuntimeError:  # chosen by each operation's own name: then as it was chosen
        before = False
    if not before:
        yield
        return
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def _are_close(expected: list[Tensor], found: list[Tensor]) -> bool:
    """Tell whether tensors that were changed are the same in the main.

    Adam moves a weight by the sign of its first gradient, be it mere rounding: single weights
    may differ by a step.
    """
    for one, other in zip(expected, found, strict=True):
        gap = float((one.double() - other.double()).norm())
        if not gap <= 1e-2 * float(one.double().norm()) + 1e-6:
            return False
    return True
