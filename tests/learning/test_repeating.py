"""Calls that are compiled as one graph are those of a loop, and only one of them is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, fx

from lightning_dqn.learning.compilation import has_cxx_compiler
from lightning_dqn.learning.repeating import Repeated

# The compiler of torch 2.9 to 2.13 uses parts of torch that torch itself deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")

Own = tuple[Tensor, Mapping[str, Tensor], None]
Function = Callable[[Any, Any], Any]


@pytest.fixture
def inputs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many inputs each graph has, which is run as it is instead of being compiled."""
    import torch._inductor.compile_fx as inductor

    numbers: list[int] = []

    def as_it_is(module: fx.GraphModule, examples: Sequence[Any], **_: Any) -> Any:
        assert all(one is not None for one in examples)
        numbers.append(len(examples))
        return module.forward

    monkeypatch.setattr(inductor, "compile_fx", as_it_is)
    return numbers


class Descent:
    """Steps of a weight along a gradient, with what the compiler takes for a constant."""

    def __init__(self, rate: float = 0.1) -> None:
        self.rate = rate

    def __call__(self, own: Own, shared: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        (x, named, _), [weight] = own, shared
        error = (weight * x).sum() - named["target"]
        with torch.no_grad():
            weight.sub_(self.rate * error * x)
        return error, [weight.clone(), named["target"] + x.mean()]


def arguments(number: int, seed: int) -> list[Own]:
    draws = torch.Generator().manual_seed(seed)
    return [
        (torch.randn(3, generator=draws), {"target": torch.randn((), generator=draws)}, None)
        for _ in range(number)
    ]


def looped(function: Function, own: Sequence[Any], shared: Any) -> list[Tensor]:
    """Return what calls one after the other return, each tensor with a leading K."""
    results = [torch.utils._pytree.tree_leaves(function(one, shared)) for one in own]
    return [torch.stack(values) for values in zip(*results, strict=True)]


def assert_same(function: Function, repeated: Repeated, own: Sequence[Any]) -> None:
    mine, theirs = [torch.ones(3)], [torch.ones(3)]
    found = torch.utils._pytree.tree_leaves(repeated(own, mine))
    torch.testing.assert_close(found, looped(function, own, theirs))
    torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("number", [1, 2, 5])
def test_calls_in_a_graph_are_those_of_a_loop(number: int, inputs: list[int]) -> None:
    function = Descent()
    repeated = Repeated(function, {})
    assert_same(function, repeated, arguments(number, seed=0))
    assert inputs == [1 + 2 * number], "the weight once, and each call's own"
    assert_same(function, repeated, arguments(number, seed=1))
    assert len(inputs) == 1, "compiled once, whatever the numbers are"


def test_one_call_is_read_however_many_there_are(inputs: list[int]) -> None:
    read = []
    for number in (1, 6):
        torch._dynamo.reset()
        torch._dynamo.utils.counters.clear()
        Repeated(Descent(), {})(arguments(number, seed=0), [torch.ones(3)])
        read.append(torch._dynamo.utils.counters["stats"]["calls_captured"])
    assert read[0] == read[1] > 0
    assert inputs == [3, 13]


def test_another_number_of_calls_than_the_graph_has_is_refused(inputs: list[int]) -> None:
    repeated = Repeated(Descent(), {})
    repeated(arguments(3, seed=0), [torch.ones(3)])
    with pytest.raises(ValueError, match="2 calls: the graph has 3"):
        repeated(arguments(2, seed=0), [torch.ones(3)])


def test_a_function_that_is_not_read_as_a_whole_is_refused(inputs: list[int]) -> None:
    def broken(own: Own, shared: list[Tensor]) -> Tensor:
        half = shared[0].add_(own[0])
        torch._dynamo.graph_break()
        return half.sum()

    with pytest.raises(RuntimeError, match="graph_break"):
        Repeated(broken, {})(arguments(2, seed=0), [torch.ones(3)])
    assert inputs == []


def test_what_was_taken_for_a_constant_is_read_anew_when_it_changes(inputs: list[int]) -> None:
    function = Descent(rate=0.1)
    repeated = Repeated(function, {})
    assert_same(function, repeated, arguments(3, seed=0))
    function.rate = 0.5
    assert_same(function, repeated, arguments(3, seed=0))
    assert len(inputs) == 2


def test_one_tensor_in_two_places_is_one_input(inputs: list[int]) -> None:
    def function(own: tuple[Tensor, Tensor], shared: list[Tensor]) -> Tensor:
        return shared[0].add_(own[0] - 2 * own[1])

    own = [(one, one) for one in torch.arange(6.0).view(2, 3)]
    assert_same(lambda *a: function(*a).clone(), Repeated(lambda *a: function(*a).clone(), {}), own)
    assert inputs == [3]


@pytest.mark.skipif(not has_cxx_compiler(), reason="no C++ compiler")
def test_compiled_calls_are_those_of_a_loop() -> None:
    function = Descent()
    repeated = Repeated(function, {"cpp_wrapper": True, "fallback_random": True})
    for seed in (0, 1):
        assert_same(function, repeated, arguments(3, seed))
