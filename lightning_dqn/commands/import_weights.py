"""``python -m lightning_dqn import_weights``: weights from elsewhere as the folder of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from omegaconf import OmegaConf

from lightning_dqn.commands.command import part_arguments, run_command
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.compose import Composer, without_hydra
from lightning_dqn.runs.mistakes import exit_on_mistake
from lightning_dqn.runs.options import option
from lightning_dqn.runs.resume import CONFIGURATION, quoted
from lightning_dqn.runs.training import training_module
from lightning_dqn.system.files import check_unused, staged_folder, write_text

if TYPE_CHECKING:
    from lightning_dqn.agent import Agent
    from lightning_dqn.formats.matching import ImportReport


@dataclass(frozen=True)
class ImportOptions:
    """Make a run's folder from weights that were trained elsewhere.

      python -m lightning_dqn import <file> output=<folder> [key=value ...]

    All other keys and --config-dir are those of python -m lightning_dqn. They say which environment
    and network the weights are for, for example +experiment=cartpole module/head=quantile.
    """

    file: str = option(
        ".safetensors or .npz, with names as in nn.Sequential and dfdx (0.weight, 0.bias, "
        "2.weight, ...) or as here (torso.0.weight, ..., head.bias)",
        is_path=True,
    )
    output: str = option("a new folder; evaluate, export and others take it like a run's")
    key_map: Any = option(
        "other names of layers or single tensors: {fc1: torso.0, fc2: head}, or a YAML or JSON "
        "file of such a mapping",
        None,
    )
    partial: bool = option("true: take what fits and leave the rest as initialised", False)


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    own, rest = part_arguments(arguments, ImportOptions)
    if "--help" in rest or "-h" in rest:
        own = ["--help"]
    run_command(own, ImportOptions, lambda options: print(make_run(options, rest)))


def make_run(options: ImportOptions, overrides: Sequence[str]) -> ImportReport:
    """Build the module that is described, import its weights and write its folder.

    Args:
        options: what is imported, and whereto.
        overrides: of the configuration, with Hydra's flags.

    Raises:
        ConfigError: naming the key at fault and the remedy.
        ValueError: the weights can't be read or don't fit, or something is there already.
    """
    from lightning_dqn.formats.saved import save_weights
    from lightning_dqn.formats.tensors import read_tensors

    output, key_map = Path(options.output), _key_map(options.key_map)
    check_unused(output)
    tensors = read_tensors(options.file)
    with (
        Composer([*overrides, f"run_dir={quoted(output)}"]) as composer,
        exit_on_mistake(composer.explain),
    ):
        config = without_hydra(composer.config())
        module = training_module().prepare(config).module
    report = import_into(module.agent, tensors, key_map, partial=options.partial)
    with staged_folder(output) as staged:
        save_weights(module.agent, staged, module.hparams)
        (staged / CONFIGURATION).parent.mkdir()
        write_text(staged / CONFIGURATION, OmegaConf.to_yaml(config))
    return report


def import_into(
    agent: Agent,
    tensors: Mapping[str, Any],
    key_map: Mapping[str, str] | None = None,
    *,
    partial: bool = False,
) -> ImportReport:
    """Import weights into the Q-network and all its copies, see :func:`import_weights`."""
    from lightning_dqn.formats.matching import import_weights

    report = import_weights(agent.q_network, tensors, key_map, partial=partial)
    agent.renew_copies()
    return report


def _key_map(given: Any) -> dict[str, str] | None:
    if isinstance(given, str):
        try:
            given = OmegaConf.to_container(OmegaConf.load(given))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise ConfigError(f"key_map={given}: no readable mapping there ({error})") from error
    if given is not None and not isinstance(given, dict):
        raise ConfigError(f"key_map={given}: expected a mapping, as {{fc1: torso.0}}")
    return given and {str(key): str(value) for key, value in given.items()}
