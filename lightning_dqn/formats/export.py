"""A trained agent in the formats of other programs.

Shapes: B batch, A actions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor, nn

from lightning_dqn.agent import Agent
from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.formats.matching import dfdx_names
from lightning_dqn.formats.programs import (
    INPUT,
    OUTPUT,
    RUNTIMES,
    Agreement,
    Program,
    QValues,
    compare,
)
from lightning_dqn.formats.saved import HYPERPARAMETERS, WEIGHTS
from lightning_dqn.formats.suffixes import SUFFIXES, Format, Keys
from lightning_dqn.formats.tensors import tensor_writer
from lightning_dqn.safekeeping.checksums import write_described
from lightning_dqn.system.faults import first_line


@dataclass(frozen=True)
class Exported:
    """What :func:`export` wrote; ``str`` of it is what the terminal shows.

    Attributes:
        path: the file.
        format: one of ``Format``.
        num_bytes: its size.
        description: what lies beside it as JSON.
        agreement: of a program with the agent; None for weights.
    """

    path: Path
    format: Format
    num_bytes: int
    description: dict[str, Any]
    agreement: Agreement | None

    def __str__(self) -> str:
        lines = [f"{self.path}: {self.format}, {self.num_bytes:,} bytes"]
        for side in ("input", "output"):
            if side in self.description:
                name, dtype, shape = self.description[side].values()
                lines.append(f"  {side:<11} {name} {dtype}[{', '.join(map(str, shape))}]")
        if self.agreement is not None:
            difference, value = self.agreement
            lines.append(f"  difference  {difference:.2g} at most, of values up to {value:.3g}")
        else:
            lines.append(f"  weights     {', '.join(self.description['weights'])}")
        return "\n".join([*lines, f"  description {_beside(self.path)}"])


def export(agent: Agent, path: str | Path, format: Format, *, keys: Keys = "dfdx") -> Exported:
    """Write ``agent`` to ``path``, and a JSON with its description and checksum beside it.

    Args:
        agent: it stays as it is.
        path: its suffix is the format's, see ``SUFFIXES``.
        format: safetensors and npz hold weights; onnx, torchscript and torch_export a program
            from observations, of the environment's type and any batch size, to float[B, A].
        keys: names of weights, see :func:`lightning_dqn.formats.matching.dfdx_names`.

    Raises:
        ValueError: the format can't hold this network, a package is missing, or what was read
            back differs; nothing is written then.
    """
    if not isinstance(agent, Agent):
        raise ValueError(f"agent={type(agent).__name__}: expected an Agent, as module.agent")
    path = Path(path)
    _check_output(path, format)
    values = QValues(agent)
    _check_finite(values.network)
    agreement = None
    if format in RUNTIMES:
        contents = _signature(values, agent.spec)
        content, program = _program(values, agent.spec, format)
        agreement = compare(values, program, agent.spec)
        write = _writer(content)
    else:
        tensors = _named(values.network, keys)
        contents = {"weights": {name: list(tensor.shape) for name, tensor in tensors.items()}}
        write = tensor_writer(path, tensors)
    path.parent.mkdir(parents=True, exist_ok=True)
    described = {"format": format, **contents, "hyperparameters": agent.hyperparameters}
    description = write_described(path, write, _beside(path), described)
    return Exported(path, format, path.stat().st_size, description, agreement)


def _program(values: QValues, spec: EnvironmentSpec, format: Format) -> tuple[bytes, Program]:
    """Return a file's content, and the program that is read back from it."""
    runtime = RUNTIMES[format]
    try:
        content = runtime.make(values, spec)
        return content, runtime.load(content)
    except ValueError:
        raise
    except Exception as error:  # torch's exporters and each runtime have errors of their own
        reason = first_line(error)
        raise ValueError(
            f"format={format}: no program can be made of {type(values.network).__name__}: "
            f"{reason}; its forward may not branch on an observation's values, nor on the size of "
            "the batch. format=safetensors keys=own holds its weights alone"
        ) from error


def _check_output(path: Path, format: Format) -> None:
    if format not in SUFFIXES:
        raise ValueError(f"format={format!r}: choose {', '.join(SUFFIXES)}")
    if path.suffix != SUFFIXES[format]:
        raise ValueError(f"output={path}: a file of format={format} ends in {SUFFIXES[format]}")
    if path.name == WEIGHTS and (path.parent / HYPERPARAMETERS).is_file():
        raise ValueError(f"output={path}: these are the run's own weights; choose another name")


def _check_finite(network: nn.Module) -> None:
    for name, tensor in network.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{name}: holds a value that isn't finite; nothing is exported")


def _writer(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def _named(network: nn.Module, keys: Keys) -> dict[str, Tensor]:
    tensors = network.state_dict()
    if keys == "own":
        return dict(tensors)
    if keys != "dfdx":
        raise ValueError(f"keys={keys!r}: choose {' or '.join(get_args(Keys))}")
    try:
        return {theirs: tensors[ours] for ours, theirs in dfdx_names(network).items()}
    except ValueError as error:
        raise ValueError(f"keys=dfdx: {error}; choose keys=own") from error


def _signature(values: QValues, spec: EnvironmentSpec) -> dict[str, Any]:
    """Return name, type and shape of input and output."""
    found = values(spec.example_observations(1))
    dtype = str(found.dtype).removeprefix("torch.")
    shape = ["batch", *spec.stacked_shape]
    return {
        "input": {"name": INPUT, "dtype": spec.observation_dtype, "shape": shape},
        "output": {"name": OUTPUT, "dtype": dtype, "shape": ["batch", spec.num_actions]},
    }


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")
