"""The videos that lie in runs' folders: of the best, the median and the worst episode."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from lightning_dqn.report.reported import Setting
from lightning_dqn.runs.json_file import mapping_in
from lightning_dqn.system.files import RECORDING, SUMMARY

LARGEST = 2 * 2**20
"""Bytes of a video that stands in the page itself; a larger one is linked."""

_KINDS = {".mp4": "video/mp4", ".gif": "image/gif"}
_FILMED = re.compile(
    r".*?env_step_(?P<step>\d+)_(?:.*_)?(?P<which>best|median|worst|only)"
    r"_return_(?P<value>-?\d+(?:\.\d+)?(?:e[-+]?\d+)?)"
)
_ORDER = ("best", "median", "worst", "only")


class EpisodeVideo(NamedTuple):
    """A video of an episode.

    Attributes:
        which: of the episodes of an evaluation it shows.
        episode_return: of the episode.
        env_step: that its weights are of; None: it isn't known.
        path: of the file.
        of: the run's folder.
        is_recorded: of weights that were kept; else it was filmed while the run evaluated.
    """

    which: str
    episode_return: float
    env_step: int | None
    path: Path
    of: Path
    is_recorded: bool

    @property
    def is_image(self) -> bool:
        """Whether a page shows it as a picture."""
        return self.path.suffix == ".gif"

    def source(self, page: Path) -> str:
        """Return the address of the video for a page in the folder ``page``."""
        if self.path.stat().st_size > LARGEST:
            return quote(os.path.relpath(self.path, page))
        content = base64.b64encode(self.path.read_bytes()).decode()
        return f"data:{_KINDS[self.path.suffix]};base64,{content}"

    def is_in_the_page(self) -> bool:
        """Whether the page holds it, so that it can be sent without the file."""
        return self.path.stat().st_size <= LARGEST


class _Take(NamedTuple):
    """Videos that belong together, of one evaluation or one recording."""

    videos: list[EpisodeVideo]
    time: float

    def rank(self, tested: int | None) -> tuple[bool, int, bool, float]:
        """Return what is higher the more it is what the run came to.

        First comes a recording of the weights that were tested, which may not be the run's last.
        """
        first = self.videos[0]
        env_step = -1 if first.env_step is None else first.env_step
        is_of_result = first.is_recorded and env_step == tested
        return is_of_result, env_step, first.is_recorded, self.time


def videos_of(setting: Setting) -> list[EpisodeVideo]:
    """Return the newest videos of a setting: those of its median run, else of the first with any.

    All are of one evaluation or one recording. A video that doesn't show the episode that was
    ranked isn't among them.
    """
    middle = setting.middle_run
    runs = [*([middle] if middle is not None else []), *setting.runs]
    return next((found for run in runs if (found := _newest(run.folder))), [])


def _newest(folder: Path) -> list[EpisodeVideo]:
    if not folder.is_dir():
        return []
    places = [folder, *(one for one in folder.iterdir() if one.is_dir())]
    takes = [
        take for place in places for take in (*_recorded(place, folder), *_filmed(place, folder))
    ]
    tested = mapping_in(folder / SUMMARY).get("tested_env_steps")
    newest = max(takes, key=lambda one: one.rank(tested), default=None)
    return [] if newest is None else sorted(newest.videos, key=lambda one: _ORDER.index(one.which))


def _recorded(place: Path, folder: Path) -> Iterator[_Take]:
    """Yield the recordings in a place, by the files that tell what belongs together."""
    for path in place.glob(f"*{RECORDING}"):
        notes = mapping_in(path)
        videos = []
        with suppress(KeyError, TypeError, AttributeError, ValueError):  # another program's
            env_steps = notes["env_steps"]
            videos = [
                EpisodeVideo(
                    which,
                    float(one["return"]),
                    None if env_steps is None else int(env_steps),
                    _beside(path, one["file"]),
                    folder,
                    True,
                )
                for which, one in notes["videos"].items()
                if which in _ORDER and (place / one["file"]).is_file()
            ]
        if videos:
            yield _Take(videos, _time(path))


def _beside(path: Path, name: str) -> Path:
    """Return the video of that name beside a file; a page shows no others.

    Raises:
        ValueError: it lies elsewhere, or is none.
    """
    video = path.with_name(name)  # refuses what has a folder in it
    if video.suffix not in _KINDS or video.resolve().parent != path.resolve().parent:
        raise ValueError(f"{name}: no video beside {path}")
    return video


def _filmed(place: Path, folder: Path) -> Iterator[_Take]:
    """Yield the evaluations that were filmed into a place; of two films of one the newer holds."""
    takes: dict[int, dict[str, EpisodeVideo]] = {}
    files = [path for path in place.iterdir() if path.suffix in _KINDS and path.is_file()]
    for path in sorted(files, key=_time):
        if (found := _FILMED.fullmatch(path.stem)) is not None:
            step, which = int(found["step"]), found["which"]
            video = EpisodeVideo(which, float(found["value"]), step, path, folder, False)
            takes.setdefault(step, {})[which] = video
    for by_name in takes.values():
        videos = list(by_name.values())
        yield _Take(videos, max(_time(one.path) for one in videos))


def _time(path: Path) -> float:
    return path.stat().st_mtime
