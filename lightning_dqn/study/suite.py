"""A suite: one experiment in several games, each with its seeds."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

from hydra.core.override_parser.overrides_parser import OverridesParser

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.mistakes import near
from lightning_dqn.study.atari_scores import TABLES, ScoreTable
from lightning_dqn.system.overrides import key_of

ALL = "all"


@dataclass(frozen=True)
class Suite:
    """Which games are played by which experiment, and what they are held against.

    Attributes:
        name: of the suite.
        experiment: that every run is one of.
        key: of the configuration, that takes a game; of one that isn't there with a plus.
        games: in the order of the table.
        value: what the key takes, with ``{game}`` in it.
        table: name of the scores of others; None: there are none.
    """

    name: str
    experiment: str
    key: str
    games: tuple[str, ...]
    value: str = "{game}"
    table: str | None = None

    @classmethod
    def of(cls, saved: Mapping[str, Any]) -> Self:
        """Return the suite that a file describes.

        Raises:
            ConfigError: a key is missing, unknown or has a wrong value.
        """
        known = [one.name for one in fields(cls)]
        for key in saved:
            if key not in known:
                raise ConfigError(f"{key}: no key of a suite; there are {', '.join(known)}")
        games = saved.get("games")
        is_list = isinstance(games, Sequence) and not isinstance(games, str)
        if not games or not is_list or len(set(map(str, games))) < len(games):
            raise ConfigError(f"games={games}: expected a list of different names")
        texts = {name: value for name, value in saved.items() if name != "games"}
        for name in ("name", "experiment", "key", *texts):
            if not isinstance(value := texts.get(name), str) and (name, value) != ("table", None):
                raise ConfigError(f"{name}={value}: expected a text")
        suite = cls(**texts, games=tuple(map(str, games)))
        if "{game}" not in str(suite.value):
            raise ConfigError(f"value={suite.value}: expected a text with {{game}} in it")
        suite._check_table()
        return suite

    @property
    def scores(self) -> ScoreTable | None:
        """What others score in the games."""
        return None if self.table is None else TABLES[self.table]()

    def choose(self, games: str | None) -> Self:
        """Return the suite with some of its games.

        Args:
            games: as ``Pong,ms_pacman``; ``all`` or None: all of them.

        Raises:
            ConfigError: one isn't a game of the suite, or is named twice.
        """
        if games is None or games == ALL:
            return self
        words = [word.strip() for word in games.strip("[]").split(",")]
        chosen = tuple(self._game(word, games) for word in words)
        if len(set(chosen)) < len(chosen):
            raise ConfigError(f"games={games}: a game is named twice")
        return replace(self, games=chosen)

    def value_of(self, game: str) -> str:
        """Return what the key takes for a game."""
        return self.value.replace("{game}", game)

    def override(self, games: Sequence[str]) -> str:
        """Return the override that plays some games."""
        return f"{self.key}={','.join(map(self.value_of, games))}"

    def game_of(self, setting: Sequence[str]) -> str:
        """Return the game that a setting's overrides play, however Hydra wrote its value.

        Raises:
            ConfigError: none of the suite's.
        """
        values = [_read(one) for one in setting if self.sets_game(one)]
        if not values or values[-1] not in self._by_value:
            raise ConfigError(
                f"games: none of {', '.join(self.games)} is what {' '.join(setting)} plays; "
                "each has to be one value of Hydra's grammar, or a text in quotes"
            )
        return self._by_value[values[-1]]

    def sets_game(self, override: str) -> bool:
        """Return whether it is the override that says which game is played."""
        return key_of(override) == key_of(self.key)

    @functools.cached_property
    def _by_value(self) -> dict[str, str]:
        return {_read(self.override([game])): game for game in self.games}

    def _game(self, word: str, games: str) -> str:
        plain = {_plain(game): game for game in self.games}
        if _plain(word) in plain:
            return plain[_plain(word)]
        hint = near(_plain(word), list(plain)).removeprefix("did you mean ").removesuffix("?")
        meant = f"did you mean {plain[hint]}? " if hint else ""
        raise ConfigError(
            f"games={games}: {self.name} has no game {word}; {meant}there are all, "
            f"{', '.join(self.games)}"
        )

    def _check_table(self) -> None:
        if self.table is None:
            return
        if self.table not in TABLES:
            raise ConfigError(f"table={self.table}: there are {', '.join(TABLES)}, and null")
        known = TABLES[self.table]().games
        if missing := [game for game in self.games if game not in known]:
            raise ConfigError(
                f"games: the table {self.table} has no scores of {', '.join(missing)}; leave them "
                "out, or the table: null"
            )


def _read(override: str) -> str:
    """Return the value of an override, the same for all ways to write it."""
    return repr(OverridesParser.create().parse_override(override).value())


def _plain(game: str) -> str:
    """Return a game's name without what spellings differ in."""
    return game.replace("_", "").lower()
