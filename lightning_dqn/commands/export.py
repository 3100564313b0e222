"""``python -m lightning_dqn export``: a trained module in the formats of other programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from lightning_dqn.commands.command import read_options, run_command
from lightning_dqn.formats.export import SUFFIXES, Format, export
from lightning_dqn.formats.saved import load_agent
from lightning_dqn.runs.build import ConfigError

USAGE = """\
Write a trained module in a format of other programs.

  python -m lightning_dqn export checkpoint=<.ckpt or run folder> output=<file> [key=value ...]

  checkpoint         what is exported: a checkpoint file, or a run's folder (its best checkpoint)
  output             the file; beside it <file>.json tells input, output and hyper-parameters
  format=null        null: by the output's name
      safetensors    .safetensors  weights
      npz            .npz          weights
      onnx           .onnx         observation -> q_values; pip install 'lightning-dqn[onnx]'
      torchscript    .pt           observation -> q_values, for Rust's tch and C++
      torch_export   .pt2          observation -> q_values, for torch.export.load
  keys=dfdx          names of weights: dfdx (0.weight, 0.bias, 2.weight, ...: as in a tuple of
                     layers or nn.Sequential) or own (torso.0.weight, ..., head.bias)

The network that acts in evaluation is exported. A program is read back and held against the
module on random observations, in batches of 1 and 7, before its file appears.
"""

DEFAULTS = {"checkpoint": None, "output": None, "format": None, "keys": "dfdx"}


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    run_command(arguments, USAGE, _run)


def _run(arguments: Sequence[str]) -> None:
    options = _options(arguments)
    agent = load_agent(options.checkpoint)
    print(export(agent, options.output, options.format, keys=options["keys"]))


def _options(arguments: Sequence[str]) -> DictConfig:
    options = read_options(arguments, DEFAULTS)
    for name in ("checkpoint", "output"):
        if options[name] is None:
            raise ConfigError(f"{name}=null: --help tells what is wanted")
    if options.format is None:
        options.format = _format_of(Path(options.output))
    return options


def _format_of(path: Path) -> Format:
    for format, suffix in SUFFIXES.items():
        if path.suffix == suffix:
            return format
    known = ", ".join(f"{suffix} ({format})" for format, suffix in SUFFIXES.items())
    raise ConfigError(f"output={path}: no format ends so; there are {known}")
