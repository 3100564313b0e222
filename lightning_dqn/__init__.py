"""Deep Q-learning driven by ``pytorch_lightning.Trainer.fit``.

The public names are imported on first use, so that ``import lightning_dqn`` and the command
line's ``--help`` do not pay for importing torch.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lightning_dqn.collector import CollectionConfig
    from lightning_dqn.datamodule import ReplayDataModule
    from lightning_dqn.environment_spec import EnvironmentSpec
    from lightning_dqn.environments import EnvironmentFactory
    from lightning_dqn.episodes import EvaluationConfig
    from lightning_dqn.learner import LossOutput
    from lightning_dqn.module import DQN
    from lightning_dqn.replay import ReplayBuffer
    from lightning_dqn.replay_storage import ReplayConfig
    from lightning_dqn.schedules import ConstantSchedule, ExponentialSchedule, LinearSchedule

__version__ = "0.1.0"

# In a bare clone `callbacks/` and `conf/` lie beside this folder; an installed package holds them.
_clone = Path(__file__).resolve().parent.parent
if (_clone / "pyproject.toml").is_file() and str(_clone) not in __path__:
    __path__.append(str(_clone))

_HOME = {
    "CollectionConfig": "collector",
    "ConstantSchedule": "schedules",
    "DQN": "module",
    "EnvironmentFactory": "environments",
    "EnvironmentSpec": "environment_spec",
    "EvaluationConfig": "episodes",
    "ExponentialSchedule": "schedules",
    "LinearSchedule": "schedules",
    "LossOutput": "learner",
    "ReplayBuffer": "replay",
    "ReplayConfig": "replay_storage",
    "ReplayDataModule": "datamodule",
}

__all__ = [
    "DQN",
    "CollectionConfig",
    "ConstantSchedule",
    "EnvironmentFactory",
    "EnvironmentSpec",
    "EvaluationConfig",
    "ExponentialSchedule",
    "LinearSchedule",
    "LossOutput",
    "ReplayBuffer",
    "ReplayConfig",
    "ReplayDataModule",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'lightning_dqn' has no attribute '{name}'")
    return getattr(importlib.import_module(f"lightning_dqn.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
