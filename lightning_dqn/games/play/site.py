"""The page on which a person plays the agent: a folder that any web host can serve."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightning_dqn.agent import Agent
from lightning_dqn.formats.export import export
from lightning_dqn.games.game import Game
from lightning_dqn.games.play.runtime import FILES, PAGE
from lightning_dqn.games.play.strength import Strength, value_scale
from lightning_dqn.system.files import is_unused, write_json, write_whole

DESCRIPTION = "game.json"
MODEL = "model.onnx"

_ASSETS = ("*.html", "*.css", "*.js", "*.svg")


def check_output(folder: Path) -> None:
    """Refuse a folder that holds something else than such a page.

    Raises:
        ValueError: it does, or it is a file.
    """
    if folder.is_file():
        raise ValueError(f"output={folder}: this is a file; name a folder")
    if not (is_unused(folder) or (folder / DESCRIPTION).is_file()):
        raise ValueError(f"output={folder}: this folder holds other files; name a new one")


def rules_of(game: Game, rules: str | Path | None = None) -> Path:
    """Return the file with a game's rules for the page.

    Args:
        game: the rules in Python.
        rules: the file, for a game that the page doesn't know.

    Raises:
        ValueError: there is none.
    """
    known = PAGE / "rules" / f"{game.name}.js"
    path = known if rules is None else Path(rules)
    if path.is_file():
        return path
    if rules is not None:
        raise ValueError(f"rules={rules}: there is no such file")
    names = " and ".join(sorted(path.stem for path in known.parent.glob("*.js")))
    raise ValueError(
        f"rules=null: the page knows {names}; hand over the rules of {game.name} as "
        "rules=<file>.js, written like those in lightning_dqn/games/play/page/rules/, or play in "
        "the terminal: terminal=true"
    )


def write_site(
    folder: Path,
    agent: Agent,
    game: Game,
    strengths: Sequence[Strength],
    *,
    rules: Path,
    runtime: Path,
    training: str,
) -> None:
    """Write the page, the model and what runs it into ``folder``.

    Args:
        folder: is made if need be.
        agent: what plays.
        game: the rules, with the agent's encoding.
        strengths: of :func:`lightning_dqn.games.play.strength.calibrate`.
        rules: see :func:`rules_of`.
        runtime: see :func:`lightning_dqn.games.play.runtime.browser_runtime`.
        training: a line about how the agent was trained.

    Raises:
        ValueError: the network can't be exported.
    """
    with tempfile.TemporaryDirectory() as temporary:
        exported = export(agent, Path(temporary) / MODEL, "onnx").path
        for name in ("rules", "onnxruntime"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        _copy(exported, folder / MODEL)
    for pattern in _ASSETS:
        for asset in PAGE.glob(pattern):
            _copy(asset, folder / asset.name)
    for name in FILES:
        _copy(runtime / name, folder / "onnxruntime" / name)
    _copy(rules, folder / "rules" / f"{game.name}.js")
    write_json(folder / DESCRIPTION, describe(agent, game, strengths, training))


def describe(
    agent: Agent, game: Game, strengths: Sequence[Strength], training: str
) -> dict[str, Any]:
    """Return what the page must know beside model and rules, as plain values."""
    return {
        "game": game.name,
        "rules": f"rules/{game.name}.js",
        "encoding": getattr(game, "encoding", None),
        "dtype": agent.spec.observation_dtype,
        "shape": list(agent.spec.stacked_shape),
        "num_actions": game.num_actions,
        "value_scale": _rounded(value_scale(agent, game)),
        "games_counted": strengths[0].games,
        "strengths": [_strength_to_plain(strength) for strength in strengths],
        "training": training,
    }


def _strength_to_plain(strength: Strength) -> dict[str, Any]:
    """Return a row of the table, where null stands for an infinite temperature."""
    is_random = math.isinf(strength.temperature)
    plain: dict[str, Any] = {
        "temperature": None if is_random else float(strength.temperature),
        "win": _rounded(strength.win),
        "draw": _rounded(strength.draw),
        "loss": _rounded(strength.loss),
    }
    if strength.against_perfect is not None:
        shares = strength.against_perfect._asdict()
        plain["perfect"] = {name: _rounded(share) for name, share in shares.items()}
    return plain


def _rounded(number: float) -> float:
    return float(np.format_float_positional(number, precision=6, fractional=False))


def _copy(source: Path, target: Path) -> None:
    write_whole(target, lambda temporary: shutil.copyfile(source, temporary))
