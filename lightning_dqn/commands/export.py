"""``python -m lightning_dqn export``: a trained module in the formats of other programs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lightning_dqn.commands.command import refuse_unread, run_command
from lightning_dqn.formats.suffixes import SUFFIXES, Folder, Format, Keys
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.mistakes import INTERRUPTED
from lightning_dqn.runs.options import option, trust_option


@dataclass(frozen=True)
class ExportOptions:
    """Write a trained module in a format of other programs.

      python -m lightning_dqn export <run> output=<file> [key=value ...]

    The network that acts in evaluation is exported. A program is read back and compared with the
    module on random observations, in batches of 1 and 7, before its file appears. Formats:

      safetensors    .safetensors  weights
      npz            .npz          weights
      onnx           .onnx         observation -> q_values; pip install 'lightning-dqn[onnx]'
      torchscript    .pt           observation -> q_values, for Rust's tch and C++
      torch_export   .pt2          observation -> q_values, for torch.export.load
      card           a folder      to publish: weights of the network that acts, config.yaml,
                                   results.json, model.onnx and replay.mp4 if possible, and a
                                   README.md with the fields that a hub lists; lightning_dqn.load
                                   and evaluate take it like a run's folder
    """

    run: str = option(
        "its folder (the best checkpoint), or a checkpoint", is_path=True, former=["checkpoint"]
    )
    output: str = option(
        "the file, with input, output and hyper-parameters in <file>.json beside it; or the folder"
    )
    format: Format | Folder | None = option("format; null: by the output's name", None)
    keys: Keys = option(
        "names of weights: dfdx (0.weight, 0.bias, 2.weight, ...: as in a tuple of layers or "
        "nn.Sequential) or own (torso.0.weight, ..., head.bias)",
        "dfdx",
    )
    episodes: int = option(
        "card: episodes played for its results; 0: the results of the run's own test", 100, least=0
    )
    video: bool | None = option(
        "card: an episode as replay.mp4; null: if the environment can be rendered", None
    )
    onnx: bool | None = option("card: the agent as model.onnx; null: if possible", None)
    license: str | None = option(
        "card: license of the weights, such as mit or cc-by-4.0; null: the card says that none "
        "was chosen",
        None,
    )
    trust: str | None = trust_option()


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    run_command(arguments, ExportOptions, _run)


_OF_CARD = ("episodes", "video", "onnx", "license")
_WITH_KEYS = ("safetensors", "npz")


def _run(options: ExportOptions) -> None:
    if options.format == "card":
        refuse_unread(options, ("keys",), "with format=card, which has its own")
        _publish(options)
        return
    format = options.format or _format_of(Path(options.output))
    refuse_unread(options, _OF_CARD, f"with format={format}; set format=card")
    if format not in _WITH_KEYS:
        refuse_unread(options, ("keys",), f"with format={format}, a program of one input")
    from lightning_dqn.formats.export import export  # with torch, which the help does without
    from lightning_dqn.runs.finished.finished_run import FinishedRun
    from lightning_dqn.runs.trust import Trust

    agent = FinishedRun.find(options.run, Trust.of(options.trust)).agent()
    print(export(agent, options.output, format, keys=options.keys))


def _publish(options: ExportOptions) -> None:
    from lightning_dqn.runs.finished.finished_run import FinishedRun
    from lightning_dqn.runs.finished.publishing import publish
    from lightning_dqn.runs.trust import Trust

    try:
        published = publish(
            FinishedRun.find(options.run, Trust.of(options.trust)),
            options.output,
            episodes=options.episodes,
            video=options.video,
            onnx=options.onnx,
            license=options.license,
        )
    except KeyboardInterrupt:
        print("lightning-dqn: interrupted; nothing was written", file=sys.stderr)
        sys.exit(INTERRUPTED)
    print(published)


def _format_of(path: Path) -> Format:
    for format, suffix in SUFFIXES.items():
        if path.suffix == suffix:
            return format
    known = ", ".join(f"{suffix} ({format})" for format, suffix in SUFFIXES.items())
    raise ConfigError(
        f"output={path}: no format ends so; there are {known}, and format=card for a folder"
    )
