"""A Trainer for the short runs of ``board_runs``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import pytorch_lightning as pl


@pytest.fixture
def make_board_trainer(make_trainer: Any) -> Callable[..., pl.Trainer]:
    """A function that makes a quiet Trainer that validates each epoch and logs each iteration."""

    def make(**arguments: Any) -> pl.Trainer:
        return make_trainer(**{"limit_val_batches": 1.0, "log_every_n_steps": 1, **arguments})

    return make
