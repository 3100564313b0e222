"""The 26 games of Atari 100k: what chance, a person and published agents score in them.

All are mean scores of whole games, those of agents after 100,000 env steps of training.

1. Random and human: Wang et al. 2016 (arxiv.org/abs/1511.06581), as Kaiser et al. 2020
   (arxiv.org/abs/1903.00374) and all that followed them take them.
2. DER: van Hasselt et al. 2019 (arxiv.org/abs/1906.05243), the paper's own runs. Dopamine's DER,
   whose scores Agarwal et al. 2021 give, has another network and other steps.
3. DrQ(eps) and SPR: Agarwal et al. 2021 (arxiv.org/abs/2108.13264), means of 100 runs.
4. SR-SPR (D'Oro et al. 2023) and BBF (Schwarzer et al. 2023, arxiv.org/abs/2305.19452): as Alonso
   et al. 2024 (arxiv.org/abs/2405.12399) print them. SR-SPR's 112,450.3 in UpNDown is ten times
   BBF's, and printed so. They made sixteen and eight updates for each env step.
5. BBF at 2: with two updates, as preset ``atari/bbf`` makes; means of its authors' 14 runs of each
   game (google-research/google-research, ``bigger_better_faster/scores/RR2_BBF.csv``).
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Mapping
from importlib.resources import files
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

RANDOM, HUMAN = "random", "human"


class ScoreTable(NamedTuple):
    """What others score in some games.

    Attributes:
        random: score of chance, by game.
        human: of a person.
        agents: of published agents, by their names and then by game.
        run_iqm: interquartile mean over all runs and all games of the table that an agent's
            authors, or who ran it again, give; it can't be had from mean scores.
    """

    random: Mapping[str, float]
    human: Mapping[str, float]
    agents: Mapping[str, Mapping[str, float]]
    run_iqm: Mapping[str, float]

    @property
    def games(self) -> tuple[str, ...]:
        """All games of the table."""
        return tuple(self.random)

    def normalized(self, game: str, scores: ArrayLike) -> NDArray[np.float64]:
        """Return human-normalised scores: (score - random) / (human - random).

        0 is chance, 1 a person.

        Args:
            game: one of the table's.
            scores: of any shape.
        """
        low, high = self.random[game], self.human[game]
        return (np.asarray(scores, dtype=np.float64) - low) / (high - low)


@functools.cache
def atari_100k() -> ScoreTable:
    """Return the scores of the 26 games, see this module.

    ``run_iqm`` of DrQ(eps) and SPR is recomputed from their 100 runs, that of BBF at 2 from its 14;
    those of SR-SPR and BBF are the papers' own.
    """
    text = files("lightning_dqn.study").joinpath("atari_scores.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    columns = {
        name: {row["game"]: float(row[name]) for row in rows} for name in rows[0] if name != "game"
    }
    random, human = columns.pop(RANDOM), columns.pop(HUMAN)
    run_iqm = {"DrQ(eps)": 0.280, "SPR": 0.337, "SR-SPR": 0.631, "BBF": 1.045, "BBF at 2": 0.940}
    return ScoreTable(random, human, columns, run_iqm)


TABLES = {"atari_100k": atari_100k}
"""Name of a table, as a suite's file has it -> the table."""
