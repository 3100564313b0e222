"""Clipping as torch does it, and nothing that isn't finite."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from lightning_dqn.learning.gradients import laid_out_like, make_safe

LOSS = torch.tensor(1.0)


def gradients(scale: float = 1.0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((3, 4), (3,), (), (2, 2, 2))
    return [scale * torch.randn(shape, generator=generator) for shape in shapes]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_one_number_in_a_gradient_that_is_not_finite_zeroes_them_all(value: float) -> None:
    raw = gradients()
    raw[0][1, 2] = value
    for max_norm in (None, 1.0):
        safe, norm, _ = make_safe(LOSS, raw, max_norm)
        assert all(torch.equal(s, torch.zeros_like(r)) for s, r in zip(safe, raw, strict=True))
        assert not norm.isfinite(), "the norm tells of it"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_zeroes_finite_gradients(value: float) -> None:
    safe, norm, _ = make_safe(torch.tensor(value), gradients(), 1.0)
    assert not any(gradient.any() for gradient in safe)
    assert not norm.isfinite(), "the norm tells of it"


@pytest.mark.parametrize("scale", [0.0, 1e-3, 0.2, 1.0, 1e3, 1e15])
@pytest.mark.parametrize("max_norm", [0.5, 10.0])
def test_clipping_equals_torchs_own(scale: float, max_norm: float) -> None:
    parameters = [torch.nn.Parameter(torch.zeros_like(g)) for g in gradients()]
    for parameter, gradient in zip(parameters, gradients(scale), strict=True):
        parameter.grad = gradient
    expected_norm = torch.nn.utils.clip_grad_norm_(parameters, max_norm)
    safe, norm, _ = make_safe(LOSS, gradients(scale), max_norm)
    torch.testing.assert_close(norm, expected_norm)
    torch.testing.assert_close(safe, [parameter.grad for parameter in parameters])


def test_gradients_below_the_largest_norm_pass_bit_for_bit() -> None:
    for max_norm in (None, 1e3):
        safe, _, _ = make_safe(LOSS, gradients(), max_norm)
        assert all(torch.equal(s, r) for s, r in zip(safe, gradients(), strict=True))


def test_the_norm_is_the_one_before_clipping() -> None:
    _, norm, _ = make_safe(LOSS, [torch.tensor([3.0]), torch.tensor([4.0])], 1.0)
    assert norm.item() == 5.0


def test_half_precision_gradients_keep_their_type_and_do_not_overflow_the_norm() -> None:
    # The square of one is beyond float16.
    raw = [torch.full(shape, 1e4, dtype=torch.float16) for shape in ((2,), ())]
    safe, norm, _ = make_safe(LOSS, raw, 1.0)
    assert [gradient.dtype for gradient in safe] == [torch.float16] * 2
    assert norm.item() == pytest.approx(1e4 * 3**0.5, rel=1e-3)
    torch.testing.assert_close(safe[0].float(), torch.full((2,), 3**-0.5), atol=1e-3, rtol=0)


def test_the_given_gradients_are_left_alone() -> None:
    raw = gradients()
    make_safe(LOSS, raw, 0.1)
    assert all(torch.equal(a, b) for a, b in zip(raw, gradients(), strict=True))


def test_the_squares_tell_which_gradient_was_not_finite() -> None:
    raw = gradients()
    raw[2] = torch.tensor(math.nan)
    assert make_safe(LOSS, raw, 1.0).squares.isfinite().tolist() == [True, True, False, True]
    squares = make_safe(LOSS, gradients(), 1.0).squares
    torch.testing.assert_close(squares.tolist(), [g.square().sum().item() for g in gradients()])


def test_what_lies_otherwise_than_its_parameter_is_laid_out_like_it() -> None:
    """With the same numbers; what lies well isn't copied."""
    numbers = [torch.randn(4, 3, 2, 2), torch.randn(4, 3, 2, 2), torch.randn(5, 2), torch.randn(5)]
    parameters = [
        torch.empty(4, 3, 2, 2),
        torch.empty(4, 3, 2, 2, memory_format=torch.channels_last),
        torch.empty(2, 5).t(),
        torch.empty(5),
    ]
    given = [numbers[0].to(memory_format=torch.channels_last), *numbers[1:]]
    found = laid_out_like(parameters, given)
    assert [f.stride() for f in found] == [p.stride() for p in parameters]
    assert [f.is_contiguous() for f in found] == [True, False, False, True]
    torch.testing.assert_close(found, numbers, rtol=0, atol=0)
    assert found[3] is given[3]
