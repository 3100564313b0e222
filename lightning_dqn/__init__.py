"""Deep Q-learning driven by ``pytorch_lightning.Trainer.fit``.

The public names are imported on first use, so that ``import lightning_dqn`` and the command
line's ``--help`` do not pay for importing torch.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lightning_dqn.former_names import FormerModules

if TYPE_CHECKING:
    from lightning_dqn.collecting.evaluation import EvaluationConfig as EvaluationConfig
    from lightning_dqn.collecting.source import CollectionConfig as CollectionConfig
    from lightning_dqn.data import ReplayDataModule as ReplayDataModule
    from lightning_dqn.dqn import DQN as DQN
    from lightning_dqn.environments.factory import EnvironmentFactory as EnvironmentFactory
    from lightning_dqn.environments.spec import EnvironmentSpec as EnvironmentSpec
    from lightning_dqn.learning.loss_output import LossOutput as LossOutput
    from lightning_dqn.replay.ring import ReplayBuffer as ReplayBuffer
    from lightning_dqn.replay.storage import ReplayConfig as ReplayConfig
    from lightning_dqn.runs.finished.loading import load as load
    from lightning_dqn.schedules import ConstantSchedule as ConstantSchedule
    from lightning_dqn.schedules import ExponentialSchedule as ExponentialSchedule
    from lightning_dqn.schedules import HorizonSchedule as HorizonSchedule
    from lightning_dqn.schedules import LinearSchedule as LinearSchedule
    from lightning_dqn.schedules import RestartedSchedule as RestartedSchedule

__version__ = "0.2.0"

# In a bare clone `callbacks/` and `conf/` lie beside this folder; an installed package holds them.
_clone = Path(__file__).resolve().parent.parent
if (_clone / "pyproject.toml").is_file() and str(_clone) not in __path__:
    __path__.append(str(_clone))

if not any(isinstance(finder, FormerModules) for finder in sys.meta_path):
    sys.meta_path.append(FormerModules())

_HOMES = {
    "collecting.evaluation": ("EvaluationConfig",),
    "collecting.source": ("CollectionConfig",),
    "data": ("ReplayDataModule",),
    "dqn": ("DQN",),
    "environments.factory": ("EnvironmentFactory",),
    "environments.spec": ("EnvironmentSpec",),
    "learning.loss_output": ("LossOutput",),
    "replay.ring": ("ReplayBuffer",),
    "replay.storage": ("ReplayConfig",),
    "runs.finished.loading": ("load",),
    "schedules": (
        "ConstantSchedule",
        "ExponentialSchedule",
        "HorizonSchedule",
        "LinearSchedule",
        "RestartedSchedule",
    ),
}
"""Module -> the public names that it holds; a test keeps the imports above equal."""

__all__ = sorted(name for names in _HOMES.values() for name in names)


def __getattr__(name: str) -> object:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"lightning_dqn.{module}"), name)
    raise AttributeError(f"module 'lightning_dqn' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
