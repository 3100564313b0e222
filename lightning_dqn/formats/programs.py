"""An agent's Q-values as a program of another runtime: TorchScript, torch.export, ONNX.

Shapes: B batch, A actions.
"""

from __future__ import annotations

import io
import logging
import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from copy import deepcopy
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.jit._trace import TracerWarning

import lightning_dqn
from lightning_dqn.agent import Agent
from lightning_dqn.environments.spec import EnvironmentSpec

INPUT, OUTPUT = "observation", "q_values"
BATCH_SIZES = (1, 7)
LARGEST_DIFFERENCE = 1e-5
"""Of a program's values from the agent's, as a share of the largest value."""
OPSET = 18
"""Of ONNX: the oldest that torch's exporter writes, which the most runtimes read."""

_DECIDES = re.compile(
    r"Converting a tensor to a (Python (boolean|float|number|list)|NumPy array)|"
    "Using len to get tensor shape"
)
"""What torch says where code may go on by a tensor's values, or by the size of the batch."""
_DECIDE_BY_FIXED_SIZES = tuple(
    str(Path(file).parent) + os.sep for file in (torch.__file__, lightning_dqn.__file__)
)

Program = Callable[[Tensor], Tensor]
"""From observations, [B, *shape] or [B, S, *shape], to float[B, A]."""


class QValues(nn.Module):
    """The map that is exported: observations -> values of all actions, without noise.

    It holds a copy of the agent's evaluation network, on the CPU and in evaluation mode.

    Args:
        agent: what is exported.
    """

    def __init__(self, agent: Agent) -> None:
        super().__init__()
        network = deepcopy(agent.get_submodule(agent.evaluation_network))
        self.network = network.cpu().requires_grad_(False)
        self.head = agent.head
        self.eval()

    def forward(self, observation: Tensor) -> Tensor:
        """Return float[B, A].

        Args:
            observation: [B, *shape], or [B, S, *shape] with frame stacks.
        """
        return self.head.q_values(self.network(observation))


class Agreement(NamedTuple):
    """How far a program's values are from the agent's.

    Attributes:
        largest_difference: of one value.
        largest_value: what the difference is measured by.
    """

    largest_difference: float
    largest_value: float


def compare(values: nn.Module, program: Program, spec: EnvironmentSpec) -> Agreement:
    """Hold a program's values against the agent's, on random observations.

    Args:
        values: the agent's values, a :class:`QValues`.
        program: what was read back.
        spec: says what observations to draw.

    Raises:
        ValueError: it is above ``LARGEST_DIFFERENCE`` of the largest value, or the program
            doesn't take some batch size.
    """
    generator = torch.Generator().manual_seed(0)
    largest, scale = 0.0, _range(values)
    for size in BATCH_SIZES:
        observation = random_observations(spec, size, generator)
        with torch.inference_mode():
            expected = values(observation)
        try:
            found = program(observation)
        except Exception as error:  # each runtime has errors of its own
            raise ValueError(
                f"the program read back fails on a batch of {size}: {error}"
            ) from error
        if found.shape != expected.shape or not torch.isfinite(found).all():
            raise ValueError(
                f"the program read back gives {list(found.shape)}, or values that aren't finite, "
                f"where the agent gives {list(expected.shape)}"
            )
        largest = max(largest, float((found - expected).abs().max()))
        scale = max(scale, float(expected.abs().max()))
    if not largest <= LARGEST_DIFFERENCE * scale:
        raise ValueError(
            f"the program read back differs from the agent by {largest:.2g}, where values are up "
            f"to {scale:.2g}: it isn't kept"
        )
    return Agreement(largest, scale)


def random_observations(spec: EnvironmentSpec, size: int, generator: torch.Generator) -> Tensor:
    """Draw observations of the environment's shape and type, [B, (S,) *shape]."""
    example = spec.example_observations(size)
    if example.dtype.is_floating_point:
        return torch.randn(example.shape, generator=generator).to(example.dtype)
    above = spec.num_states or (256 if example.dtype == torch.uint8 else 2)
    return torch.randint(above, example.shape, generator=generator).to(example.dtype)


def _make_torchscript(values: QValues, spec: EnvironmentSpec) -> bytes:
    content = io.BytesIO()
    with _quiet(), warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", TracerWarning)
        # A trace turns some sizes into constants; those of a single observation broadcast.
        traced = torch.jit.trace(values, spec.example_observations(1), check_trace=False)
        torch.jit.save(traced, content)
    _refuse_decisions(told)
    return content.getvalue()


def _refuse_decisions(told: Sequence[warnings.WarningMessage]) -> None:
    """Refuse a trace where code went on by values or by the batch's size: it keeps that one way.

    What torch's layers and those here decide, by other sizes, is the same for all observations.

    Raises:
        RuntimeError: naming the line.
    """
    for warning in told:
        if not issubclass(warning.category, TracerWarning):  # of the network's own: not kept back
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
        found = _DECIDES.match(str(warning.message))
        if found and not warning.filename.startswith(_DECIDE_BY_FIXED_SIZES):
            raise RuntimeError(f"{found[0]} ({warning.filename}:{warning.lineno})")


def _load_torchscript(content: bytes) -> Program:
    with _quiet():
        return torch.jit.load(io.BytesIO(content), map_location="cpu")


def _traced_for_any_batch(values: QValues, spec: EnvironmentSpec) -> Any:
    batch = torch.export.Dim("batch")
    with _quiet():
        # Strict, that is by reading the bytecode: otherwise `len(tensor)` becomes a constant.
        traced = torch.export.export(
            values,
            (spec.example_observations(2),),
            dynamic_shapes={INPUT: {0: batch}},
            strict=True,
        )
    for node in traced.graph.nodes:
        node.meta.pop("stack_trace", None)  # it would tell the folders of this machine
    return traced


def _make_torch_export(values: QValues, spec: EnvironmentSpec) -> bytes:
    content = io.BytesIO()
    torch.export.save(_traced_for_any_batch(values, spec), content)
    return content.getvalue()


def _load_torch_export(content: bytes) -> Program:
    return torch.export.load(io.BytesIO(content)).module()


def _make_onnx(values: QValues, spec: EnvironmentSpec) -> bytes:
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise ValueError(
            f"format=onnx: needs {', '.join(missing)}; pip install 'lightning-dqn[onnx]'"
        )
    traced = _traced_for_any_batch(values, spec)
    with _quiet():
        program = torch.onnx.export(
            traced,
            dynamo=True,
            input_names=[INPUT],
            output_names=[OUTPUT],
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    return _cleaned(program.model_proto).SerializeToString()


def _cleaned(model: Any) -> Any:
    """Take what torch notes of its own source and files out of an ONNX model; name the batch."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    del graph.value_info[:]
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    return model


def _load_onnx(content: bytes) -> Program:
    session = import_module("onnxruntime").InferenceSession(
        content, providers=["CPUExecutionProvider"]
    )

    def run(observation: Tensor) -> Tensor:
        [q_values] = session.run([OUTPUT], {INPUT: observation.numpy()})
        return torch.from_numpy(q_values)

    return run


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what torch says of itself, and what :func:`compare` finds out anyway."""
    loggers = [
        logging.getLogger("torch.onnx._internal.exporter._registration"),  # on torchvision's
        logging.getLogger("torch._guards"),  # on what it raises as well
    ]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    # Of what it can't export torch also prints the graph so far.
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated", DeprecationWarning)
        warnings.filterwarnings("ignore", category=TracerWarning)
        warnings.filterwarnings("ignore", r".*LeafSpec", FutureWarning)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _range(values: nn.Module) -> float:
    """Return the size that values are computed from, where it isn't their own."""
    return values.head.largest_value if isinstance(values, QValues) else 0.0


class Runtime(NamedTuple):
    """How a format is made and read.

    Attributes:
        make: from Q-values and the environment's spec to the content of a file.
        load: from that content to a program.
    """

    make: Callable[[QValues, EnvironmentSpec], bytes]
    load: Callable[[bytes], Program]


RUNTIMES = {
    "onnx": Runtime(_make_onnx, _load_onnx),
    "torchscript": Runtime(_make_torchscript, _load_torchscript),
    "torch_export": Runtime(_make_torch_export, _load_torch_export),
}
