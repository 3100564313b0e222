"""Episodes of board games, played anew and written as text: the best, the median, the worst."""

from __future__ import annotations

from typing import NamedTuple

from lightning_dqn.report.reported import ReportedRun
from lightning_dqn.reporting.statistics import best_median_worst
from lightning_dqn.runs.finished.evaluate import test_seed
from lightning_dqn.runs.finished.finished_run import FinishedRun
from lightning_dqn.runs.finished.showing import Stage, episode_seeds
from lightning_dqn.transitions import Episode

EPISODES = 20
"""That are played to find the three."""

_TEXT = "ansi"
_OURS = "lightning_dqn/"
"""How the names of environments begin that are board games, and need nobody's trust."""


class BoardEpisode(NamedTuple):
    """An episode as text.

    Attributes:
        which: of :data:`EPISODES` it is.
        seed: by which it was played.
        episode: its return and length.
        boards: that the agent saw, the last one after the end.
    """

    which: str
    seed: int
    episode: Episode
    boards: tuple[str, ...]


def is_board_game(run: ReportedRun) -> bool:
    """Return whether a run's environment draws boards as text, and can be made without trust."""
    data = run.configuration.get("data") or {}
    evaluated = (data.get("evaluation") or {}).get("environment") or {}
    own = run.configuration.get("environment") or {}
    return any(str(one.get("id")).startswith(_OURS) for one in (evaluated, own))


def board_episodes(run: ReportedRun) -> list[BoardEpisode]:
    """Play the episodes of a finished run's agent, the first ones of its own test.

    Raises:
        ValueError: the run can't be read any more, or its environment can't be made.
    """
    finished = FinishedRun.find(run.folder)
    factory = finished.environment()
    stage = Stage(factory, finished.agent_for(factory), render_mode=_TEXT)
    try:
        if _TEXT not in stage.render_modes:
            return []
        seeds = episode_seeds(test_seed(finished), EPISODES)
        played = [_play(stage, seed) for seed in seeds]
    finally:
        stage.close()
    places = best_median_worst([episode.episode_return for episode, _ in played])
    return [BoardEpisode(which, seeds[n], *played[n]) for which, n in places.items()]


def _play(stage: Stage, seed: int) -> tuple[Episode, tuple[str, ...]]:
    episode, boards = Episode(0.0, 0), []
    for moment in stage.play(seed):
        boards.append(str(stage.frame()).strip("\n"))
        episode = moment.episode
    return episode, tuple(boards)
