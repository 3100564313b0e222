"""``python -m lightning_dqn import_weights``: weights from elsewhere as the folder of a run."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lightning_dqn.agent import Agent
from lightning_dqn.commands.command import USAGE_ERROR
from lightning_dqn.formats.matching import ImportReport, import_weights
from lightning_dqn.formats.saved import WEIGHTS, save_weights
from lightning_dqn.formats.tensors import read_tensors
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.compose import compose, explain, parse_arguments, training_module

USAGE = """\
Make the folder of a run from weights that were trained elsewhere.

  python -m lightning_dqn import_weights file=<file> output=<folder> [key=value ...]

  file               .safetensors or .npz, named as nn.Sequential and dfdx do (0.weight, 0.bias,
                     2.weight, ...) or as here (torso.0.weight, ..., head.bias)
  output             the folder; evaluate and export take it as run=<folder>, checkpoint=<folder>
  key_map=null       other names: {fc1: torso.0, fc2: head}, of layers or of single tensors, or a
                     YAML or JSON file of such a mapping
  partial=false      true: take what fits and leave the rest as it was drawn

All other keys are those of python -m lightning_dqn, as is --config-dir: they say which environment
and network the weights are for, as +experiment=cartpole module/head=quantile.
"""

DEFAULTS: dict[str, Any] = {"file": None, "output": None, "key_map": None, "partial": False}


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    if not arguments or "--help" in arguments or "-h" in arguments:
        print(USAGE)
        return
    try:
        report = make_run(arguments)
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        print(f"lightning-dqn: {explain(error)}", file=sys.stderr)
        sys.exit(USAGE_ERROR)
    print(report)


def make_run(arguments: Sequence[str]) -> ImportReport:
    """Build the module that the arguments describe, import its weights and write its folder.

    Args:
        arguments: of the command line.

    Raises:
        ConfigError: naming the key at fault and the remedy.
        HydraException: the configuration can't be composed.
        ValueError: the weights can't be read or don't fit.
    """
    options, rest = _options(arguments)
    output = Path(options["output"])
    if (output / WEIGHTS).exists():
        raise ConfigError(f"output={output}: holds {WEIGHTS} already; name another folder")
    tensors = read_tensors(options["file"])
    parsed = parse_arguments(rest)
    config = compose(parsed.overrides, config_dir=parsed.config_dir)
    module = training_module().prepare(config).module
    report = import_into(module.agent, tensors, options["key_map"], partial=options["partial"])
    config.run_dir = str(output)
    save_weights(module.agent, output, module.hparams)
    (output / ".hydra").mkdir(exist_ok=True)
    OmegaConf.save(config, output / ".hydra" / "config.yaml")
    return report


def import_into(
    agent: Agent,
    tensors: Mapping[str, Any],
    key_map: Mapping[str, str] | None = None,
    *,
    partial: bool = False,
) -> ImportReport:
    """Import weights into the Q-network and all its copies, see :func:`import_weights`."""
    report = import_weights(agent.q_network, tensors, key_map, partial=partial)
    for name in agent.copies:
        agent.get_submodule(name).load_state_dict(agent.q_network.state_dict())
    return report


def _options(arguments: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Return this command's own arguments, and those of the training configuration."""
    own = [a for a in arguments if a.split("=")[0] in DEFAULTS]
    given: Any = OmegaConf.to_container(OmegaConf.from_cli(own))
    options = {**DEFAULTS, **given}
    for name in ("file", "output"):
        if not isinstance(options[name], str):
            raise ConfigError(f"{name}={options[name]}: --help tells what is wanted")
    if not isinstance(options["partial"], bool):
        raise ConfigError(f"partial={options['partial']!r}: expected true or false")
    options["key_map"] = _key_map(options["key_map"])
    return options, [a for a in arguments if a not in own]


def _key_map(given: Any) -> dict[str, str] | None:
    if isinstance(given, str):
        try:
            given = OmegaConf.to_container(OmegaConf.load(given))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise ConfigError(f"key_map={given}: no readable mapping there ({error})") from error
    if given is not None and not isinstance(given, dict):
        raise ConfigError(f"key_map={given}: expected a mapping, as {{fc1: torso.0}}")
    return given and {str(key): str(value) for key, value in given.items()}
