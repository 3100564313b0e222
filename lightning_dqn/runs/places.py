"""What each place of a configuration may name when the configuration came with a folder.

A place takes what is defined in a few modules and is of one kind. Names elsewhere aren't imported
to look what they are: importing is running code.
"""

from __future__ import annotations

import importlib
import pydoc
import re
from collections.abc import Callable
from typing import Any, NamedTuple

_OURS = "lightning_dqn"
_ENVIRONMENT = r"(.+\.)?environment"


class Place(NamedTuple):
    """What a place takes.

    Attributes:
        key: of the place, a pattern.
        modules: where what it names is defined, each with all that is below it.
        kinds: ``module:name`` of classes, whose subclasses do too, and of functions.
    """

    key: str
    modules: tuple[str, ...]
    kinds: tuple[str, ...]


def _ours(key: str, *kinds: str) -> Place:
    return Place(key, (_OURS,), tuple(f"{_OURS}.{kind}" for kind in kinds))


_OPPONENTS = "games.opponents"
_TORSOS = "lightning_dqn.networks.torsos"
_SCHEDULES = ("Constant", "Linear", "Exponential", "Horizon", "Restarted")

SHARED = ("lightning_dqn", "torch", "torchmetrics", "gymnasium", "pytorch_lightning")
"""Packages of which no more is trusted at once than a single name."""

PLACES = (
    _ours(
        _ENVIRONMENT,
        "environments.factory:EnvironmentFactory",
        "environments.atari_games:atari",
    ),
    Place(rf"{_ENVIRONMENT}\.wrappers\[\d+\]", ("gymnasium.wrappers",), ("gymnasium:Wrapper",)),
    _ours(
        rf"{_ENVIRONMENT}\.kwargs\..+",
        "games.game:Game",
        f"{_OPPONENTS}.random:RandomOpponent",
        f"{_OPPONENTS}.perfect:PerfectOpponent",
        f"{_OPPONENTS}.search:SearchOpponent",
        f"{_OPPONENTS}.policy:CheckpointOpponent",
        f"{_OPPONENTS}.past_selves:PastSelves",
    ),
    _ours("data", "data:ReplayDataModule"),
    _ours(r"data\.replay", "replay.storage:ReplayConfig"),
    _ours(
        r"data\.collection",
        "collecting.source:CollectionConfig",
        "collecting.remote.config:RayCollectionConfig",
    ),
    _ours(r"data\.evaluation", "collecting.evaluation:EvaluationConfig"),
    _ours(
        r"data\.sampler",
        "replay.samplers.uniform:UniformSampling",
        "replay.samplers.prioritized:PrioritizedSampling",
        "replay.samplers.online:OnlineTransitions",
        "replay.samplers.lambda_returns:LambdaReturns",
    ),
    _ours("module", "dqn:DQN"),
    Place(
        r"module\.network(\..+|\[\d+\])*",
        ("torch.nn", f"{_OURS}.networks"),
        (
            "torch.nn:Module",
            *(f"{_TORSOS}:{n}" for n in ("Network", "mlp", "table", "minatar_cnn", "nature_cnn")),
        ),
    ),
    _ours(r"module\.head", "networks.heads.head:Head"),
    _ours(r"module\.target", "learning.targets:Target"),
    _ours(r"module\.(target\.)?munchausen", "learning.targets:Munchausen"),
    _ours(r"module\.augmentation", "learning.augmentation:Augmentation"),
    _ours(r"module\.self_prediction", "learning.self_prediction:SelfPredictionLoss"),
    Place(
        r"module\.optimizer",
        ("torch.optim", f"{_OURS}.learning"),
        ("torch.optim:Optimizer", f"{_OURS}.learning.weight_decay:adamw"),
    ),
    Place(r"module\.lr_scheduler", ("torch.optim",), ("torch.optim.lr_scheduler:LRScheduler",)),
    Place(
        r"callbacks\.[^.]+",
        ("pytorch_lightning.callbacks", f"{_OURS}.callbacks"),
        ("pytorch_lightning:Callback",),
    ),
    Place(
        r"logger\.[^.]+",
        ("pytorch_lightning.loggers", f"{_OURS}.reporting"),
        ("pytorch_lightning.loggers.logger:Logger", f"{_OURS}.reporting.csv_logger:csv_logger"),
    ),
    Place("trainer", ("pytorch_lightning",), ("pytorch_lightning:Trainer",)),
    _ours(
        r".+\..+",
        *(f"schedules:{kind}Schedule" for kind in _SCHEDULES),
    ),
)
"""The first whose pattern the whole key fits holds."""


def named(target: str) -> Any:
    """Return what a dotted name stands for, an attribute of a module and of nothing else.

    Returns:
        None where there is no such module, or nothing of that name in it.
    """
    module, _, name = target.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name, None)
    except Exception:  # whatever a module may raise
        return None


def is_below(name: str, *modules: str) -> bool:
    """Return whether a dotted name is one of ``modules`` or lies in one."""
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def why_not(target: str, key: str) -> str:
    """Return why the place ``key`` doesn't take what a dotted name stands for; empty if it does.

    Only modules of this package, torch, gymnasium and pytorch_lightning are ever imported.
    """
    place = next((one for one in PLACES if re.fullmatch(one.key, key)), None)
    if place is None:
        return "nothing is named in such a place"
    # Ours had other names in 0.1, under which old files know them.
    from_here = is_below(target, _OURS, *place.modules)
    if not from_here or not re.fullmatch(r"[A-Za-z]\w*(\.[A-Za-z]\w*)+", target):
        return f"expected something of {' or '.join(place.modules)}"
    found = named(target)
    is_defined_there = is_below(str(getattr(found, "__module__", "")), *place.modules)
    if not is_defined_there or not any(_is_kind(found, kind) for kind in place.kinds):
        return f"expected {' or '.join(kind.partition(':')[2] for kind in place.kinds)}"
    return ""


def why_not_trusted(target: str, covers: Callable[[str], bool]) -> str:
    """Return why a name that is trusted isn't taken: it is of another module; empty if it is."""
    try:
        found = pydoc.locate(target)
    except pydoc.ErrorDuringImport:
        return ""  # building it says what is wrong
    home = str(getattr(found, "__module__", None) or target)
    is_of_its_package = home.split(".")[0] == target.split(".")[0]
    return "" if found is None or is_of_its_package or covers(home) else f"it is of {home}"


def _is_kind(found: Any, kind: str) -> bool:
    expected = named(kind.replace(":", "."))
    if isinstance(expected, type):
        return isinstance(found, type) and issubclass(found, expected)
    return found is expected
