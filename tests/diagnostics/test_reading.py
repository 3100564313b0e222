"""A row is what was found, in its order, without what isn't defined."""

from __future__ import annotations

import torch

from lightning_dqn.diagnostics.reading import as_row


def test_tensors_and_numbers_are_read_under_their_names() -> None:
    found = {"a": torch.tensor(1.5), "b": 2, "c": torch.tensor(3, dtype=torch.int64)}
    row = as_row(found)
    assert list(row.items()) == [("a", 1.5), ("b", 2.0), ("c", 3.0)]
    assert all(type(value) is float for value in row.values())


def test_what_is_the_mean_of_nothing_is_left_out() -> None:
    assert as_row({"a": torch.tensor(float("nan")), "b": torch.tensor(1.0)}) == {"b": 1.0}
    assert as_row({}) == {}
