"""The house stays as it is drawn: who imports whom, and what never happens at import."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

RANKS = [
    {"transitions", "environment_spec", "schedules", "td", "memory", "model_ops", "startup"}
    | {"statistics"},
    {"gradients", "optimizer_step", "compilation", "metrics", "layers", "munchausen", "sum_tree"}
    | {"files", "learning_curve"},
    {"head", "exploration", "environments", "replay_storage", "frame_stack", "report"},
    {"categorical_head", "quantile_heads", "collector", "replay"},
    {"heads", "sampling"},
    {"networks", "policy", "episodes"},
    {"blueprint"},
    {"agent"},
    {"learner"},
    {"datamodule", "module"},
    {"configuration", "loggers", "export", "callbacks", "provenance"},
    {"training", "evaluate", "study_report"},
    {"command_help", "command_line", "study_runs"},
    {"__main__", "study"},
]
"""A file imports from lower ranks only; `configuration` and its peers know no training."""

LAZY = {("command_help", "command_line"), ("command_line", "command_help")}
"""Imports inside functions, which wait until the command line needs them."""


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
        found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
    return found


def test_every_file_imports_from_lower_ranks_only():
    rank = {name: number for number, names in enumerate(RANKS) for name in names}
    files = {path.stem: path for path in (ROOT / "lightning_dqn").glob("*.py")}
    files.pop("__init__")
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
    for path in (ROOT / "lightning_dqn").glob("*.py"):
        assert "callbacks" not in imported_modules(path), path.name


def test_checkpoints_are_never_loaded_with_code():
    for folder in ("lightning_dqn", "callbacks"):
        for path in (ROOT / folder).glob("*.py"):
            assert "weights_only=False" not in path.read_text(), path.name
