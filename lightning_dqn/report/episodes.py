"""The best, the median and the worst episode of each setting: seen, as boards, or as numbers."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from lightning_dqn.report.boards import EPISODES, BoardEpisode, board_episodes, is_board_game
from lightning_dqn.report.reported import Reported, Setting
from lightning_dqn.report.tables import Table, decimals, number_text
from lightning_dqn.report.videos import EpisodeVideo, videos_of
from lightning_dqn.reporting.statistics import best_median_worst
from lightning_dqn.system.faults import first_line

_SHARES = {"Best": "eval/return_p100", "Median": "eval/return_p50", "Worst": "eval/return_p0"}
VIDEOS = "videos"


@dataclass(frozen=True)
class Episodes:
    """What there is to see of a setting's episodes.

    Attributes:
        setting: its label.
        of: which run they are of, and which episodes were ranked.
        videos: of the newest evaluation that was filmed, or of a recording.
        boards: of a board game without videos.
        table: of neither: their returns, where they were logged.
    """

    setting: str
    of: str
    videos: tuple[EpisodeVideo, ...] = ()
    boards: tuple[BoardEpisode, ...] = ()
    table: Table | None = None


def episodes_of(reported: Reported) -> tuple[list[Episodes], list[str]]:
    """Return the episodes of each setting that has any, and why others have none, a line each."""
    found, notes = [], []
    for setting in reported.settings:
        one, note = _of_setting(setting)
        found += [one] if one is not None else []
        notes += [note] if note else []
    return found, notes


def _of_setting(setting: Setting) -> tuple[Episodes | None, str]:
    videos = videos_of(setting)
    if videos:
        first = videos[0]
        how = "recorded" if first.is_recorded else "filmed"
        when = "" if first.env_step is None else f" with the weights of env step {first.env_step:,}"
        return Episodes(
            setting.label, f"Of {first.of.name}, {how}{when}.", videos=tuple(videos)
        ), ""
    run = setting.middle_run
    note = ""
    if run is not None and is_board_game(run):
        try:
            boards = board_episodes(run)
        except (ValueError, OSError) as error:
            boards, note = [], f"{setting.label}: no boards: {first_line(error)}"
        if boards:
            what = f"Of {EPISODES} episodes of seed {run.seed}, the run of the median return."
            return Episodes(setting.label, what, boards=tuple(boards)), ""
    table = _of_validation(setting)
    if table is not None:
        return Episodes(setting.label, "Returns of the last validation.", table=table), note
    if run is None:
        return None, note
    command = shlex.join(["python", "-m", "lightning_dqn", "record", str(run.folder)])
    how = f"Nobody filmed its episodes; {command} output={run.folder / VIDEOS}/ would."
    return Episodes(setting.label, how, table=_of_runs(setting)), note


def _of_validation(setting: Setting) -> Table | None:
    runs = [run for run in setting.runs if all(key in run.logged for key in _SHARES.values())]
    if not runs:
        return None
    values = [[float(run.logged[key].value[-1]) for key in _SHARES.values()] for run in runs]
    places = decimals(value for some in values for value in some)
    rows = [
        [str(run.seed), *(number_text(value, places) for value in some)]
        for run, some in zip(runs, values, strict=True)
    ]
    return Table(f"Episodes of {setting.label}", ["Seed", *_SHARES], rows)


def _of_runs(setting: Setting) -> Table:
    """Return the best, the median and the worst run by what their tests return."""
    results = setting.results.runs
    places = decimals(one.episode_return for one in results)
    found = best_median_worst([one.episode_return for one in results])
    rows = [
        [
            which.capitalize(),
            str(results[number].seed),
            number_text(results[number].episode_return, places),
            number_text(results[number].episode_return_std, places),
        ]
        for which, number in found.items()
    ]
    return Table(f"Runs of {setting.label} by their test", ["Run", "Seed", "Return", "±"], rows)
