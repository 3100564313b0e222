"""The part of a run that brings torch, and its libraries' hints kept off the terminal."""

from __future__ import annotations

import logging
import re
import warnings
from types import ModuleType

from lightning_dqn.system.startup import uncollected

_HINTS = re.compile(
    r"(GPU|TPU|HPU|IPU) available|LOCAL_RANK:|💡|.*litlogger|.*`Trainer\.fit` stopped|"
    r"Your model can run with static graph|-{100}|Initializing distributed|All distributed|"
    r"distributed_backend=|Loaded model weights|Loading `|Restor(ing|ed) "
)


class _WithoutHints(logging.Filter):
    """Lets pass what Lightning says of this run, not of its products or of what is shown anyway."""

    def filter(self, record: logging.LogRecord) -> bool:
        return _HINTS.match(record.getMessage()) is None


def training_module() -> ModuleType:
    """Import what prepares and runs."""
    with uncollected(freeze=True):
        from lightning_dqn.runs import run as training

    for library in ("pytorch_lightning", "lightning_fabric"):
        # Through Hydra's handlers: the terminal's, and that of the run's own file.
        logger = logging.getLogger(library)
        logger.handlers.clear()
        logger.propagate = True
        for part in ("rank_zero", "distributed"):
            hinting = logging.getLogger(f"{library}.utilities.{part}")
            if not any(isinstance(one, _WithoutHints) for one in hinting.filters):
                hinting.addFilter(_WithoutHints())
    # Lightning 2.6 itself calls what torch 2.13 deprecates; nothing a user could change.
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
    # A float64 environment's bounds are read as float32, which is what is learned from.
    warnings.filterwarnings("ignore", message=".*precision lowered by casting to float32.*")
    # Said of short epochs, of which there may be reasons, and of a continued run's own folder.
    warnings.filterwarnings("ignore", message=".*smaller than the logging interval.*")
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
    return training
