"""Modules and commands that have moved since 0.1: their old names work for one version more.

Importing one says in a line where it is now. This file goes with version 0.3.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType

PACKAGE = "lightning_dqn"

MOVED = {
    "blueprint": "networks.plain",
    "browser_runtime": "games.play.runtime",
    "callbacks.torso_units": "networks.units",
    "categorical_head": "networks.heads.categorical",
    "collector": "collecting.collector",
    "command_help": "runs.keys commands.help",
    "command_line": "runs.compose commands.main commands.train",
    "compilation": "learning.compilation",
    "configuration": "runs.build",
    "datamodule": "data",
    "environment_spec": "environments.spec",
    "environments": "environments.factory environments.families environments.gate",
    "episodes": "collecting.evaluation",
    "evaluate": "runs.evaluate",
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
    "model_ops": "networks.operations",
    "module": "dqn",
    "munchausen": "learning.targets",
    "networks": "networks.q_network networks.torsos networks.layers",
    "optimizer_step": "learning.optimizer_step",
    "play": "games.play.session",
    "playable": "games.play.playable",
    "policy": "agent",
    "prioritized_sampling": "replay.samplers.prioritized",
    "programs": "formats.programs",
    "provenance": "runs.provenance",
    "quantile_heads": "networks.heads.quantile",
    "registration": "environments.families",
    "replay": "replay.ring",
    "replay_storage": "replay.storage",
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
    "study_report": "study.results",
    "study_runs": "study.processes",
    "sum_tree": "replay.sum_tree",
    "table": "networks.table",
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
                if name in vars(module):
                    new = getattr(vars(module)[name], "__module__", module.__name__)
                    new = new if str(new).startswith(PACKAGE) else module.__name__
                    text = f"{old}.{name} is now {new}.{name}; the old name goes with 0.3"
                    warnings.warn(text, FutureWarning, stacklevel=2)
                    return vars(module)[name]
        raise AttributeError(f"module {old!r} has no attribute {name!r}")

    return find


def run_command(name: str) -> None:
    """Run a command by its old name, after a line that says the new one."""
    if name not in COMMANDS:
        sys.exit(f"lightning-dqn: {PACKAGE}.{name} isn't a command")
    text = f"python -m {PACKAGE}.{name} is now python -m {PACKAGE} {name}"
    print(f"lightning-dqn: {text}; the old one goes with 0.3", file=sys.stderr)
    importlib.import_module(f"{PACKAGE}.commands.{name}").main(sys.argv[1:])
