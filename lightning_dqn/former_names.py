"""What had another name in 0.1: modules, commands, arguments, tensors, words of a configuration.

The old names work for one version more; using one says in a line what it is called now. Files
made by 0.1 are read without a word. This file goes with version 0.3.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType
from typing import Any

PACKAGE = "lightning_dqn"

MOVED = {
    "blueprint": "networks.plain",
    "browser_runtime": "games.play.runtime",
    "callbacks.torso_units": "networks.units",
    "categorical_head": "networks.heads.categorical",
    "collector": "collecting.collector collecting.source collecting.contract",
    "command_help": "runs.keys commands.help",
    "command_line": "runs.compose commands.main commands.train",
    "compilation": "learning.compilation",
    "configuration": "runs.build",
    "datamodule": "data",
    "environment_spec": "environments.spec",
    "environments": (
        "environments.factory environments.families environments.gate environments.exact"
    ),
    "episodes": "collecting.evaluation",
    "evaluate": "runs.finished.evaluate",
    "exploration": "collecting.exploration",
    "export": "formats.export",
    "files": "system.files",
    "frame_stack": "environments.frame_stack",
    "games.board_environment": "games.environment",
    "games.exact_solution": "games.solved.solution",
    "games.game_tree": "games.solved.tree",
    "games.opponents": "games.opponents.choice games.opponents.opponent games.opponents.random",
    "games.past_selves": "games.opponents.past_selves",
    "games.perfect_opponent": "games.opponents.perfect",
    "games.pettingzoo_adapter": "games.pettingzoo",
    "games.policy_opponent": "games.opponents.policy",
    "games.search_opponent": "games.opponents.search",
    "games.strength": "games.play.strength",
    "gradients": "learning.gradients",
    "head": "networks.heads.head networks.heads.scalar",
    "heads": (
        "networks.plain networks.heads.categorical networks.heads.head "
        "networks.heads.scalar networks.heads.quantile"
    ),
    "import_weights": "commands.import_weights",
    "layers": "networks.layers",
    "learner": "learning.update",
    "learning_curve": "study.curve",
    "loggers": "reporting.wandb_logger reporting.csv_logger",
    "memory": "system.memory",
    "metrics": "reporting.metrics",
    "model_ops": (
        "networks.operations networks.alignment networks.chosen_layers networks.weight_bounds"
    ),
    "module": "dqn",
    "munchausen": "learning.targets",
    "networks": "networks.torsos networks.q_network networks.layers",
    "optimizer_step": "learning.optimizer_step",
    "play": "games.play.session",
    "playable": "games.play.playable",
    "prioritized_sampling": "replay.samplers.prioritized",
    "programs": "formats.programs",
    "provenance": "runs.provenance",
    "quantile_heads": "networks.heads.quantile",
    "registration": "environments.families",
    "replay": "replay.ring",
    "replay_storage": "replay.storage replay.reading",
    "report": "reporting.rows",
    "rollout_sampling": (
        "replay.samplers.rollout replay.samplers.online replay.samplers.lambda_returns"
    ),
    "sampler": "replay.samplers.sampler replay.samplers.uniform",
    "sampling": (
        "replay.samplers.lambda_returns replay.samplers.online "
        "replay.samplers.prioritized replay.samplers.sampler replay.samplers.uniform"
    ),
    "simple_command": "commands.command",
    "site": "games.play.site",
    "site_server": "games.play.server",
    "startup": "system.startup",
    "statistics": "reporting.statistics",
    "study": "study.study",
    "study_report": "study.results study.results_files study.comparison study.tables",
    "study_runs": "study.processes",
    "sum_tree": "replay.sum_tree",
    "table": "networks.table networks.torsos",
    "tabular_environments": "environments.tabular",
    "tensor_files": "formats.tensors",
    "terminal_play": "games.play.terminal",
    "training": "runs.experiment runs.run",
    "value_iteration": "environments.value_iteration",
    "weight_import": "formats.matching",
    "weights": "formats.saved",
}
"""Old module -> where its names are now, in the package both."""

COMMANDS = ("evaluate", "export", "import_weights", "play", "study")
"""What ``python -m lightning_dqn.<command>`` runs."""

FORMER_COMMANDS = {"import_weights": "import"}
"""Command -> what it is called now."""


class FormerModules(MetaPathFinder, InspectLoader):
    """Finds a module by its old name, as one that looks its names up in the new places."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return what imports ``fullname``, None if that isn't an old name."""
        if fullname.removeprefix(f"{PACKAGE}.") not in MOVED:
            return None
        return ModuleSpec(fullname, self)

    def exec_module(self, module: ModuleType) -> None:
        """Let the module look names up when they are asked for."""
        module.__getattr__ = former_attributes(module.__name__)  # type: ignore[method-assign]

    def get_code(self, fullname: str) -> CodeType:
        """Return what ``python -m`` runs under an old name."""
        name = fullname.removeprefix(f"{PACKAGE}.")
        source = f"from {__name__} import run_command\nrun_command({name!r})\n"
        return compile(source, f"<{fullname}>", "exec")

    def get_source(self, fullname: str) -> None:
        """Return nothing: the names are elsewhere."""


def former_attributes(old: str) -> Callable[[str], object]:
    """Return a module's ``__getattr__`` that finds the names that the module had formerly."""
    places = MOVED[old.removeprefix(f"{PACKAGE}.")].split()

    def find(name: str) -> object:
        if not name.startswith("__"):
            for place in places:
                module = importlib.import_module(f"{PACKAGE}.{place}")
                if name in vars(module) and not _is_borrowed(found := vars(module)[name]):
                    new = getattr(found, "__module__", module.__name__)
                    new = new if str(new).startswith(PACKAGE) else module.__name__
                    text = f"{old}.{name} is now {new}.{name}; the old name goes with 0.3"
                    warnings.warn(text, FutureWarning, stacklevel=2)
                    return found
        raise AttributeError(f"module {old!r} has no attribute {name!r}")

    return find


def _is_borrowed(value: object) -> bool:
    """Return whether a module only imports the value, from another library.

    Pickle asks all modules for such names: for ``torch`` when torch keeps what it compiled.
    """
    if inspect.isclass(value) or inspect.isroutine(value):
        return not str(value.__module__).startswith(PACKAGE)
    return inspect.ismodule(value)


def run_command(name: str) -> None:
    """Run a command by its old name, after a line that says the new one."""
    if name not in COMMANDS:
        sys.exit(f"lightning-dqn: {PACKAGE}.{name} isn't a command")
    now = FORMER_COMMANDS.get(name, name)
    text = f"python -m {PACKAGE}.{name} is now python -m {PACKAGE} {now}"
    print(f"lightning-dqn: {text}; the old one goes with 0.3", file=sys.stderr)
    sys.argv[0] = f"{PACKAGE}.{name}"  # Python has no file of it to name
    importlib.import_module(f"{PACKAGE}.commands.{name}").main(sys.argv[1:])


NETWORK_ARGUMENTS = ("dueling", "noisy", "noisy_sigma", "layer_norm")
"""Of ``DQN`` in 0.1, now of its network."""

TARGET_ARGUMENTS = {"double": "double", "target_network": "slow_copy", "munchausen": "munchausen"}
"""Of ``DQN`` in 0.1 -> of its target now."""

_FORMER_ARGUMENTS = (*NETWORK_ARGUMENTS, *TARGET_ARGUMENTS)


def former_arguments(network: Any, target: Any, former: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return what ``DQN`` takes as network and target, with arguments of 0.1 laid over them.

    Args:
        network: as given.
        target: as given.
        former: the arguments that ``DQN`` no longer has.

    Raises:
        TypeError: ``DQN`` never had one of them.
        ValueError: the network isn't built from layers and can't be told otherwise.
    """
    of_network = {name: former[name] for name in NETWORK_ARGUMENTS if name in former}
    of_target = {new: former[old] for old, new in TARGET_ARGUMENTS.items() if old in former}
    for name in former:
        if name not in _FORMER_ARGUMENTS:
            raise TypeError(f"DQN got an unexpected keyword argument {name!r}")
        now = f"network=MLP({name}=...)"
        if name in TARGET_ARGUMENTS:
            now = f"target=Target({TARGET_ARGUMENTS[name]}=...)"
        text = f"DQN({name}=...) is now DQN({now}); the old name goes with 0.3"
        warnings.warn(text, FutureWarning, stacklevel=3)
    return _laid_over(network, of_network, "network"), _laid_over(target, of_target, "target")


def former_hyperparameters(saved: Mapping[str, Any]) -> dict[str, Any]:
    """Return the hyper-parameters of a file, of today or of 0.1, in today's form."""
    kept = {name: value for name, value in saved.items() if name not in _FORMER_ARGUMENTS}
    former = {name: value for name, value in saved.items() if name in _FORMER_ARGUMENTS}
    if not isinstance(saved["network"], str):
        of_network = {name: former[name] for name in NETWORK_ARGUMENTS if name in former}
        kept["network"] = _laid_over(saved["network"], of_network, "network")
    of_target = {new: former[old] for old, new in TARGET_ARGUMENTS.items() if old in former}
    return {**kept, **({"target": of_target} if of_target else {})}


def _laid_over(given: Any, former: Mapping[str, Any], name: str) -> Any:
    if not former:
        return given
    if given is None or isinstance(given, Mapping):
        return {**(given or {}), **former}
    if isinstance(given, Sequence) and not isinstance(given, str):
        return {"layers": given, **former}
    if dataclasses.is_dataclass(given):
        return dataclasses.replace(given, **former)  # type: ignore[type-var]
    for option, value in former.items():
        if value and option != "noisy_sigma":
            raise ValueError(
                f"{option}={value} shapes a {name} built from layers, not a module of your own"
            )
    return given


def former_tensor_names(state: Mapping[str, Any], copies: Sequence[str]) -> dict[str, Any]:
    """Return a module's state with networks where they are now: in its agent.

    Args:
        state: of a ``DQN``, of today or of 0.1.
        copies: names of the networks beside ``q_network``.
    """
    networks = ("q_network", *copies)
    return {
        f"agent.{name}" if name.split(".")[0] in networks else name: tensor
        for name, tensor in state.items()
    }


ALGORITHMS = [
    "c51",
    "der",
    "double_dqn",
    "dqn",
    "dueling",
    "fqf",
    "iqn",
    "m_iqn",
    "munchausen_dqn",
    "noisy_dqn",
    "per",
    "pqn",
    "q_learning",
    "qr_dqn",
    "rainbow",
]
"""Options that the group ``module`` had in 0.1, now of the group ``algorithm``."""

FORMER_ROOT_KEYS = {
    "alpha": "hints.step_size",
    "td_error": "hints.td_error",
    "value_range": "hints.value_range",
}
"""Key at a configuration's root -> where it is now."""

WORDS = {
    **FORMER_ROOT_KEYS,
    "data.collection.epsilon_greedy": "data.collection.random_actions",
    "module.double": "module.target.double",
    "module.munchausen": "module.target.munchausen",
    "module.target_network": "module.target.slow_copy",
    **{f"module.{name}": f"module.network.{name}" for name in NETWORK_ARGUMENTS},
    "module/munchausen": "module/target/munchausen",
}
"""Key or group of a configuration -> what it is called now."""


def former_words(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the arguments of a command line in today's words, and a line for each that changed."""
    words = [_word(argument) for argument in arguments]
    lines = [
        f"{old} is now {new}; the old word goes with 0.3"
        for old, new in zip(arguments, words, strict=True)
        if old != new
    ]
    return words, lines


def _word(argument: str) -> str:
    bare = argument.lstrip("+~")
    key, equals, value = bare.partition("=")
    prefix = argument[: len(argument) - len(bare)]
    if key == "module" and equals and set(value.split(",")) <= set(ALGORITHMS):
        return f"{prefix}algorithm={value}"
    for old, new in WORDS.items():
        if key == old or key.startswith(f"{old}."):
            return f"{prefix}{new}{key.removeprefix(old)}{equals}{value}"
    return argument


def former_choices() -> dict[str, dict[str, Any]]:
    """Return the options of the group ``module`` that a user's own files may still choose.

    Returns:
        Option -> its content, which chooses the algorithm.
    """
    return {name: {"defaults": ["/module/default", f"/algorithm/{name}"]} for name in ALGORITHMS}
