"""A large ring whose checkpoint goes where no file of its own can lie beside it."""

from __future__ import annotations

from typing import Any

import pytest
import pytorch_lightning as pl

from lightning_dqn.replay import archive


class SavesTwice(pl.Callback):
    """Saves within the fit: to where it was told."""

    def __init__(self, path: str) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for _ in range(2):
            trainer.save_checkpoint(self.path)


@pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec:FutureWarning")
@pytest.mark.parametrize("is_large", [True, False])
def test_rows_that_are_saved_nowhere_are_told_at_the_save_and_where_the_run_goes_on(
    make_trainer, make_data, make_module, monkeypatch, recwarn, is_large
) -> None:
    if is_large:
        monkeypatch.setattr(archive, "MOST_BYTES_INSIDE", 0)
    path = f"memory://run/{is_large}.ckpt"

    def told(part: str) -> int:
        found = sum(part in str(warning.message) for warning in recwarn.list)
        recwarn.clear()
        return found

    make_trainer(callbacks=[SavesTwice(path)]).fit(make_module(), make_data())
    assert told(f"isn't saved with {path}") == is_large
    data: Any = make_data()
    make_trainer(max_epochs=2).fit(make_module(), data, ckpt_path=path)
    assert told("holds no row of the replay ring") == is_large
