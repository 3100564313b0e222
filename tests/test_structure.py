"""The house stays as it is drawn: who imports whom, and what never happens at import."""

import ast
import re
from functools import cache
from pathlib import Path

import lightning_dqn

ROOT = Path(__file__).resolve().parent.parent

FLOORS = [
    {"former_names", "td", "system"},
    {"safekeeping", "extra_columns"},
    {"schedules", "transitions"},
    {"environments", "reporting"},
    {"networks", "replay", "collecting"},
    {"policy"},
    {"learning", "agent", "experience", "streams"},
    {"acting", "data"},
    {"dqn", "formats"},
    {"games", "diagnostics"},
    {"live"},
    {"callbacks", "runs"},
    {"study"},
    {"report"},
    {"commands"},
    {"__main__"},
]
"""Rooms from the ground up: a file imports from its own room and from lower floors. Rooms on one
floor are strangers to each other."""


def room_of(module: str) -> str:
    """Return the room of a module of the package, as ``replay`` of ``replay.ring``."""
    return "__main__" if module.endswith("__main__") else module.split(".")[0]


@cache
def modules() -> dict[str, Path]:
    """Return every file of the package by its module, callbacks included."""
    package = ROOT / "lightning_dqn"
    found = {
        ".".join(path.relative_to(package).with_suffix("").parts): path
        for path in package.rglob("*.py")
    }
    found |= {f"callbacks.{path.stem}": path for path in (ROOT / "callbacks").glob("*.py")}
    del found["__init__"]  # finds the public names in all rooms, when they are asked for
    return {name.removesuffix(".__init__"): path for name, path in found.items()}


@cache
def imports(path: Path) -> set[str]:
    """Return the modules of the package that a file imports: at its top, inside functions, or
    for type checkers alone."""
    known = modules()
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            inner = name.removeprefix("lightning_dqn.")
            if inner == name:
                continue
            found.add(inner if inner in known else inner.rpartition(".")[0])
    return found - {""}


def test_rooms_import_from_lower_floors_only():
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    files = modules()
    assert {room_of(name) for name in files} == set(floor)
    wrong = [
        (name, imported)
        for name, path in files.items()
        for imported in imports(path)
        if room_of(imported) != (room := room_of(name)) and floor[room_of(imported)] >= floor[room]
    ]
    assert wrong == []


def test_the_page_has_the_floors_in_their_order():
    page = (ROOT / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| (`.+?) \| ", page, re.M)
    rooms = [
        {one.removesuffix(".py").strip("/") for one in re.findall("`(.+?)`", row)} for row in rows
    ]
    assert rooms == FLOORS[:-1], "the last is what `python -m` runs"


def test_no_circle_of_imports():
    graph = {name: imports(path) for name, path in modules().items()}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail[trail.index(name) :], name])
        if name in done:
            return
        for imported in sorted(graph.get(name, ())):
            visit(imported, (*trail, name))
        done.add(name)

    for name in graph:
        visit(name, ())


def test_collecting_and_learning_are_strangers():
    """What they exchange goes through Lightning's loop, in the words of ``transitions``."""
    for name, path in modules().items():
        seen = {room_of(imported) for imported in imports(path)}
        if room_of(name) in ("collecting", "replay", "experience", "streams", "data"):
            assert not seen & {"learning", "networks", "agent", "acting", "dqn"}, name
        if room_of(name) in ("learning", "networks", "agent", "acting", "dqn"):
            assert not seen & {"collecting", "replay", "experience", "streams", "data"}, name


def test_the_package_never_imports_its_callbacks():
    for name, path in modules().items():
        if room_of(name) != "callbacks":
            assert "callbacks" not in {room_of(imported) for imported in imports(path)}, name


def test_what_makes_a_run_never_imports_what_reads_a_finished_one():
    for name, path in modules().items():
        if room_of(name) == "runs" and not name.startswith("runs.finished"):
            assert not [one for one in imports(path) if one.startswith("runs.finished")], name


def test_checkpoints_are_never_loaded_with_code():
    for name, path in modules().items():
        assert "weights_only=False" not in path.read_text(), name


def test_composing_alone_knows_the_insides_of_hydra():
    knowing = {name for name, path in modules().items() if "hydra._internal" in path.read_text()}
    files = ("compose", "hydra_files", "hydra_flags", "hydra_jobs", "hydra_loader")
    assert knowing == {f"runs.{file}" for file in files}


def test_the_public_names_are_those_that_type_checkers_see():
    path = ROOT / "lightning_dqn" / "__init__.py"
    seen = {
        (node.module.removeprefix("lightning_dqn."), alias.name)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module.startswith("lightning_dqn.")
        for alias in node.names
        if alias.asname == alias.name
    }
    homes = lightning_dqn._HOMES
    assert seen == {(module, name) for module, names in homes.items() for name in names}
    assert lightning_dqn.__all__ == sorted(name for _, name in seen)


def test_every_room_says_what_it_is():
    for folder in {path.parent for path in (ROOT / "lightning_dqn").rglob("*.py")}:
        assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text())), folder
