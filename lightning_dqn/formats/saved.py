"""A trained agent as files: weights without code, or a checkpoint of a run.

Weights without code are safetensors, with the hyper-parameters beside them as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from lightning_dqn.agent import Agent
from lightning_dqn.formats.tensors import read_tensors, tensor_writer
from lightning_dqn.former_names import former_hyperparameters, former_tensor_names
from lightning_dqn.networks.misfit import misfit
from lightning_dqn.safekeeping.checksums import write_described
from lightning_dqn.safekeeping.generations import is_kept
from lightning_dqn.safekeeping.reading import NO_DQN, read_checkpoint

WEIGHTS = "module.safetensors"
HYPERPARAMETERS = "module.json"
"""The weights, and what describes them, with their checksum."""


class Names(NamedTuple):
    """How the two files are called.

    Attributes:
        weights: safetensors.
        description: JSON with hyper-parameters and checksums.
    """

    weights: str
    description: str


OF_A_RUN = Names(WEIGHTS, HYPERPARAMETERS)
PUBLISHED = Names("model.safetensors", "model.json")
"""In a run's folder, and in one that was written to be published."""

_OF_AGENT = ("environment", "network", "head")


class Saved(NamedTuple):
    """What files hold of an agent.

    Attributes:
        hyperparameters: plain values, of the agent and of what it learned by.
        networks: names of the networks and of the one that acts.
        state: of the agent.
        counters: ``updates`` and ``env_steps``, of a checkpoint and where else they were saved.
    """

    hyperparameters: Mapping[str, Any]
    networks: Mapping[str, Any]
    state: Mapping[str, Tensor]
    counters: Mapping[str, int]

    def agent(self, **own: Any) -> Agent:
        """Build the agent.

        Args:
            own: parts that are code of the user's own, of which only the name was saved.

        Raises:
            RuntimeError: the weights don't fit the hyper-parameters.
            KeyError: a hyper-parameter is missing.
        """
        saved = {name: self.hyperparameters[name] for name in _OF_AGENT}
        return Agent.from_plain({**saved, **own}, self.networks, self.state)


def save_weights(
    agent: Agent,
    directory: str | Path,
    hyperparameters: Mapping[str, Any] | None = None,
    *,
    names: Names = OF_A_RUN,
    counters: Mapping[str, int] | None = None,
) -> Path:
    """Write an agent's networks and hyper-parameters into ``directory``.

    Both files are written beside their place and then renamed, so that neither is ever half
    there. The hyper-parameters hold a checksum of the weights, which every reader checks.

    Args:
        agent: stays as it is.
        directory: made if it doesn't exist.
        hyperparameters: of what it learned by, written beside the agent's own.
        names: of the files.
        counters: ``updates`` and ``env_steps``, where they are known.

    Returns:
        The path of the weights.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    description = {
        "hyperparameters": {**(hyperparameters or {}), **agent.hyperparameters},
        **agent.networks_description(),
        **({"counters": dict(counters)} if counters else {}),
    }
    path = directory / names.weights
    write = tensor_writer(path, agent.state_dict())
    write_described(path, write, directory / names.description, description)
    return path


def load_agent(path: str | Path) -> Agent:
    """Build the agent that a run's folder or a checkpoint holds, on the CPU.

    Args:
        path: the folder of a run, one that was published, or a ``.ckpt`` file.

    Raises:
        ValueError: it is missing, damaged, or something else.
    """
    path = Path(path)
    saved = read_saved(path)
    try:
        return saved.agent()
    except (RuntimeError, KeyError, TypeError) as error:
        if path.is_dir():
            names = names_in(path)
            text = f"{path / names.weights} doesn't fit {names.description}: {error}"
            raise ValueError(text) from error
        raise ValueError(f"{path}: its weights don't fit its hyper-parameters: {error}") from error


def begin_with(agent: Agent, path: str | Path) -> None:
    """Copy the Q-network that a file holds into an agent's, and into all copies of that.

    Args:
        agent: of the same network; how often it has learned isn't touched.
        path: the folder of a run, one that was published, or a ``.ckpt`` file.

    Raises:
        ValueError: it is missing, damaged, something else, or of another network.
    """
    prefix = "q_network."
    state = read_saved(Path(path)).state
    tensors = {name.removeprefix(prefix): state[name] for name in state if name.startswith(prefix)}
    if (what := misfit(agent.q_network, tensors)) is not None:
        raise ValueError(f"{path} holds another network: {what}")
    agent.q_network.load_state_dict(tensors)
    agent.renew_copies()


load_weights = load_agent
"""Its name in 0.1, of folders alone."""


def read_saved(path: str | Path) -> Saved:
    """Read what a run's folder or a checkpoint holds of an agent; see :func:`load_agent`."""
    path = Path(path)
    if path.is_dir():
        return _read_folder(path)
    if not is_kept(path):
        raise ValueError(f"{path}: there is no such file or folder")
    return _read_checkpoint(path)


def names_in(directory: Path) -> Names:
    """Return how the files of weights are called in a folder: those of a run, unless published.

    A run's folder may hold weights of that other name too, as another program's.
    """
    is_published = all((directory / name).is_file() for name in PUBLISHED)
    return PUBLISHED if is_published and not (directory / WEIGHTS).is_file() else OF_A_RUN


def _read_folder(directory: Path) -> Saved:
    names = names_in(directory)
    try:
        description = json.loads((directory / names.description).read_text())
        tensors = read_tensors(directory / names.weights)
    except (OSError, ValueError) as error:
        raise ValueError(f"{directory}: no readable weights there ({error})") from error
    try:
        hyperparameters = former_hyperparameters(description["hyperparameters"])
    except KeyError as error:
        raise ValueError(f"{directory / names.description}: {error} is missing") from error
    return Saved(hyperparameters, description, tensors, description.get("counters", {}))


def _read_checkpoint(path: Path) -> Saved:
    checkpoint = read_checkpoint(path, remedy="")
    if "dqn" not in checkpoint:
        raise ValueError(f"{path}: {NO_DQN}")
    about = checkpoint["dqn"]
    try:
        state = former_tensor_names(checkpoint["state_dict"], about["networks"])
        return Saved(
            hyperparameters=former_hyperparameters(checkpoint["hyper_parameters"]),
            networks=about,
            state={
                name.removeprefix("agent."): tensor
                for name, tensor in state.items()
                if name.startswith("agent.")
            },
            counters={name: about[name] for name in ("updates", "env_steps")},
        )
    except KeyError as error:
        raise ValueError(f"{path}: {error} is missing in this checkpoint") from error
