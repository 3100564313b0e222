"""What a run says of itself before it begins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from lightning_dqn.data import ReplayDataModule
from lightning_dqn.learning.blocks import between_graphs, size_of_graphs
from lightning_dqn.learning.compilation import (
    is_wanted,
    pays_back_after,
    updates_in_a_graph,
)
from lightning_dqn.learning.run_length import env_steps_at_end, iterations_in, iterations_of
from lightning_dqn.runs.budget import Progress, progress_of
from lightning_dqn.runs.experiment import Experiment
from lightning_dqn.runs.keys import typed
from lightning_dqn.runs.secrets import without_secrets


def opening_line(experiment: Experiment, folder: Path) -> str:
    """Return experiment, environment, size of the network, device, length and folder in a line.

    And how exactly the run can be continued, see :mod:`lightning_dqn.environments.grade`.

    Args:
        experiment: about to run.
        folder: of the run, as it is shown.
    """
    config, module, data = experiment.config, experiment.module, experiment.data
    parameters = sum(parameter.numel() for parameter in module.q_network.parameters())
    device: Any = experiment.trainer.strategy.root_device
    if (size := experiment.trainer.world_size) > 1:
        device = f"{device} of each of {size} ranks"
    iterations = iterations_of(experiment.trainer, data.iterations_per_epoch)
    updates = None if iterations is None else iterations * data.updates_per_iteration
    after = pays_back_after(module.agent.head.outputs_per_action > 1)
    total = _env_steps(experiment)
    env_steps = "without end" if total is None else f"{total:,} env steps"
    is_compiled = is_wanted(module.update.compile, updates, after)
    compiled = _compiled(experiment, updates) if is_compiled else "not compiled"
    return (
        f"{config.name}: {data.environment.num_envs} environments {data.environment.name}, "
        f"{parameters:,} parameters on {device}, {compiled}, {env_steps}, "
        f"resume {_grade(data)}, in {folder}"
    )


def _env_steps(experiment: Experiment) -> int | None:
    """Return the env steps at the run's end, those before it goes on included."""
    checkpoint, data = experiment.config.get("ckpt_path"), experiment.data
    progress = (checkpoint and progress_of(Path(checkpoint))) or Progress(0, 0, 0, 0)
    return env_steps_at_end(
        experiment.trainer,
        data.pace,
        an_epoch=iterations_in(experiment.trainer, data.iterations_per_epoch),
        epochs=progress.epochs,
        iterations=progress.iterations,
        all_iterations=progress.all_iterations,
        env_steps=progress.env_steps,
    )


def _grade(data: ReplayDataModule) -> str:
    """Return how exactly the run can be continued; rows that actors sent ahead aren't kept."""
    is_ahead = getattr(data.collection, "is_elsewhere", False) and data.collection.overlap
    return "restart" if is_ahead else data.environment.grade


def _compiled(experiment: Experiment, updates: int | None) -> str:
    """Return in words that learning is compiled, and how much of it as one graph."""
    module = experiment.module
    if experiment.trainer.world_size > 1:
        return "compiled"  # up to where ranks average
    most = updates_in_a_graph(
        updates,
        num_weights=sum(p.numel() for p in module.update.network.parameters()),
        is_distributional=module.agent.head.outputs_per_action > 1,
    )
    callbacks: list[Any] = experiment.trainer.callbacks  # type: ignore[attr-defined]
    operations = between_graphs([c for c in callbacks if hasattr(c, "acts_in_periods")])
    size = size_of_graphs(experiment.data.updates_per_iteration, operations, max(1, most))
    return f"compiled, {size} updates in a graph" if size > 1 else "compiled"


def config_tree(config: DictConfig) -> str:
    """Return a configuration with its values filled in, secrets apart, a line for each key."""
    return "\n".join(_branches(without_secrets(config)))


def _branches(node: dict[str, Any], indent: str = "") -> Iterator[str]:
    for number, (name, value) in enumerate(node.items(), start=1):
        is_last = number == len(node)
        is_inner = isinstance(value, dict) and value
        shown = name if is_inner else f"{name}: {typed(value)}"
        yield f"{indent}{'└─ ' if is_last else '├─ '}{shown}"
        if is_inner:
            yield from _branches(value, indent + ("   " if is_last else "│  "))
