"""A trained module from its files: weights without code, or a checkpoint.

Weights without code are safetensors, with the hyper-parameters beside them as JSON.
"""

from __future__ import annotations

import json
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from lightning_dqn.dqn import DQN
from lightning_dqn.system.files import write_json, write_whole

WEIGHTS = "module.safetensors"


HYPERPARAMETERS = "module.json"


def save_weights(module: DQN, directory: str | Path) -> Path:
    """Write the module's networks and hyper-parameters into ``directory``.

    Both files are written beside their place and then renamed, so that neither is ever half
    there.

    Returns:
        The path of the weights.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    tensors = {name: t.detach().cpu().contiguous() for name, t in module.networks_state().items()}
    description = {"hyperparameters": dict(module.hparams), **module.networks_description()}
    write_json(directory / HYPERPARAMETERS, description)
    write_whole(directory / WEIGHTS, lambda path: save_file(tensors, path))
    return directory / WEIGHTS


def load_weights(directory: str | Path) -> DQN:
    """Build the module that :func:`save_weights` wrote into ``directory``.

    Raises:
        ValueError: a file is missing, damaged, or doesn't fit the other.
    """
    directory = Path(directory)
    try:
        description = json.loads((directory / HYPERPARAMETERS).read_text())
        tensors = load_file(directory / WEIGHTS)
    except (OSError, ValueError, SafetensorError) as error:
        raise ValueError(f"{directory}: no readable weights there ({error})") from error
    try:
        return DQN.from_networks(description["hyperparameters"], description, tensors)
    except (RuntimeError, KeyError) as error:
        raise ValueError(f"{directory / WEIGHTS} doesn't fit {HYPERPARAMETERS}: {error}") from error


def load_agent(path: str | Path) -> DQN:
    """Build the module that a run's folder or a checkpoint holds, on the CPU.

    Args:
        path: the folder of a run, or a ``.ckpt`` file.

    Raises:
        ValueError: it is missing, damaged, or something else.
    """
    path = Path(path)
    if path.is_dir():
        return load_weights(path)
    if not path.exists():
        raise ValueError(f"{path}: there is no such file or folder")
    _check_checkpoint(path)
    try:
        return DQN.load_from_checkpoint(path, map_location="cpu")
    except (RuntimeError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: its weights don't fit its hyper-parameters: {error}") from error


def _check_checkpoint(path: Path) -> None:
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, UnpicklingError) as error:
        raise ValueError(
            f"{path}: no readable checkpoint, it is damaged or another file"
        ) from error
    if not isinstance(checkpoint, dict) or "dqn" not in checkpoint:
        raise ValueError(f"{path}: this checkpoint holds no DQN: it was saved from something else")
