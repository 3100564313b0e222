"""Percentiles are those of the definition, and of too few numbers none are told."""

from __future__ import annotations

import pytest
import torch

from lightning_dqn.diagnostics.percentiles import percentiles


def test_percentiles_of_numbers_in_any_order_and_shape() -> None:
    values = torch.arange(100, -1, -1).view(1, 101)  # 0 to 100
    found = percentiles("age", values)
    assert {k: v.item() for k, v in found.items()} == {
        "age_p5": 5,
        "age_p25": 25,
        "age_p50": 50,
        "age_p75": 75,
        "age_p95": 95,
    }


def test_between_two_numbers_they_are_interpolated() -> None:
    found = percentiles("x", torch.tensor([0.0, 10.0]), (0, 25, 100), least=1)
    assert [v.item() for v in found.values()] == pytest.approx([0.0, 2.5, 10.0])


def test_numbers_keep_their_precision() -> None:
    large = torch.tensor([2.0**24 + 1], dtype=torch.float64)
    assert percentiles("x", large, (50,), least=1)["x_p50"].item() == 2.0**24 + 1


def test_too_few_numbers_are_no_distribution() -> None:
    assert percentiles("x", torch.zeros(4)) == {}
    assert len(percentiles("x", torch.zeros(5))) == 5
    assert percentiles("x", torch.zeros(0), least=1) == {}
