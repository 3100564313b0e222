"""The house stays as it is drawn: who imports whom, and what never happens at import."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

RANKS = [
    {"transitions", "environment_spec", "schedules", "td", "memory", "model_ops", "startup"}
    | {"statistics", "registration", "value_iteration"}
    | {"games.game", "games.rendering"},
    {"gradients", "optimizer_step", "compilation", "metrics", "layers", "munchausen", "sum_tree"}
    | {"files", "learning_curve", "tabular_environments", "site_server"}
    | {"games.tictactoe", "games.connect_four", "games.game_tree", "games.pettingzoo_adapter"},
    {"head", "exploration", "environments", "replay_storage", "frame_stack", "report"}
    | {"tensor_files", "games.exact_solution"},
    {"categorical_head", "quantile_heads", "collector", "replay"}
    | {
        "games.search_opponent",
        "games.perfect_opponent",
        "games.policy_opponent",
    },
    {"heads", "sampler", "games.opponents", "games.past_selves"},
    {"prioritized_sampling", "rollout_sampling"},
    {"networks", "policy", "sampling", "episodes", "games.board_environment", "games.matches"},
    {"table", "games.single_board"},
    {"blueprint", "games.strength", "weight_import", "games.entry_points"},
    {"agent"},
    {"learner"},
    {"datamodule", "module"},
    {"configuration", "loggers", "weights", "programs", "callbacks", "provenance"},
    {"simple_command"},
    {"training", "evaluate", "export", "study_report", "browser_runtime"}
    | {"playable", "terminal_play"},
    {"command_help", "command_line", "study_runs", "site"},
    {"__main__", "study", "import_weights", "play"},
]
"""A file imports from lower ranks only; `configuration` and its peers know no training."""

LAZY = {("command_help", "command_line"), ("command_line", "command_help")} | {
    ("games.policy_opponent", "weights")
}
"""Imports inside functions, which wait until the command line or a game needs them."""


def imported_modules(path: Path) -> set[str]:
    """Return the modules of the package that a file imports while it runs."""
    tree = ast.parse(path.read_text())
    hidden = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or id(node) in hidden or node.module is None:
            continue
        parts = node.module.split(".")
        if parts[0] != "lightning_dqn":
            continue
        if parts[1:] in ([], ["games"]):
            found |= {".".join([*parts[1:], alias.name]) for alias in node.names}
        else:
            found.add(".".join(parts[1:3]) if parts[1] == "games" else parts[1])
    return found


def module_files() -> dict[str, Path]:
    """Return the package's files by module; those of its games as ``games.<name>``."""
    package = ROOT / "lightning_dqn"
    files = {path.stem: path for path in package.glob("*.py")}
    files |= {f"games.{path.stem}": path for path in (package / "games").glob("*.py")}
    return {name: path for name, path in files.items() if path.stem != "__init__"}


def test_every_file_imports_from_lower_ranks_only():
    rank = {name: number for number, names in enumerate(RANKS) for name in names}
    files = module_files()
    assert set(files) == set(rank) - {"callbacks"}
    wrong = [
        (name, imported)
        for name, path in files.items()
        for imported in imported_modules(path)
        if rank[imported] >= rank[name] and (name, imported) not in LAZY
    ]
    assert wrong == []


def test_collecting_and_learning_are_strangers():
    assert "module" not in imported_modules(ROOT / "lightning_dqn" / "datamodule.py")
    assert "datamodule" not in imported_modules(ROOT / "lightning_dqn" / "module.py")


def test_the_package_never_imports_its_callbacks():
    for path in module_files().values():
        assert "callbacks" not in imported_modules(path), path.name


def test_checkpoints_are_never_loaded_with_code():
    for folder in ("lightning_dqn", "callbacks"):
        for path in (ROOT / folder).glob("*.py"):
            assert "weights_only=False" not in path.read_text(), path.name
