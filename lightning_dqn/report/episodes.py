"""The best, the median and the worst episode of each setting: seen, as boards, or as numbers."""

from __future__ import annotations

from dataclasses import dataclass

from lightning_dqn.report.boards import EPISODES, BoardEpisode, board_episodes, is_board_game
from lightning_dqn.report.reported import Reported, Setting
from lightning_dqn.report.tables import Table, decimals, number_text
from lightning_dqn.report.videos import Video, videos_of

_SHARES = {"Best": "eval/return_p100", "Median": "eval/return_p50", "Worst": "eval/return_p0"}


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
    videos: tuple[Video, ...] = ()
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
        when = "recorded" if first.env_step is None else f"at env step {first.env_step:,}"
        return Episodes(setting.label, f"{first.of.name}, {when}", videos=tuple(videos)), ""
    run = setting.middle_run
    note = ""
    if run is not None and is_board_game(run):
        try:
            boards = board_episodes(run)
        except (ValueError, OSError) as error:
            boards, note = [], f"{setting.label}: no boards: {str(error).splitlines()[0]}"
        if boards:
            what = f"seed {run.seed}, the run of the median return; of {EPISODES} episodes"
            return Episodes(setting.label, what, boards=tuple(boards)), ""
    table = _numbers(setting)
    of = "the returns of the last validation"
    return (None if table is None else Episodes(setting.label, of, table=table)), note


def _numbers(setting: Setting) -> Table | None:
    runs = [run for run in setting.runs if all(key in run.logged for key in _SHARES.values())]
    if not runs:
        return None
    values = [[float(run.logged[key].value[-1]) for key in _SHARES.values()] for run in runs]
    places = decimals(value for some in values for value in some)
    rows = [
        [str(run.seed), *(number_text(value, places) for value in some)]
        for run, some in zip(runs, values, strict=True)
    ]
    return Table(f"Episodes of {setting.label}, last validation", ["Seed", *_SHARES], rows)
