"""The videos that lie in runs' folders: of the best, the median and the worst episode."""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from lightning_dqn.report.reported import Setting

LARGEST = 2 * 2**20
"""Bytes of a video that stands in the page itself; a larger one is linked."""

_KINDS = {".mp4": "video/mp4", ".gif": "image/gif"}
_NAME = re.compile(
    r"(?:.*?env_step_(?P<step>\d+)_)?(?:.*_)?(?P<which>best|median|worst|only)"
    r"_return_(?P<value>[-+.\de]+?)(?:_seed_(?P<seed>\d+))?"
)
_ORDER = ("best", "median", "worst", "only")


class Video(NamedTuple):
    """A video of an episode.

    Attributes:
        which: of the episodes of an evaluation it shows.
        episode_return: of the episode.
        env_step: of the evaluation; None: it was recorded afterwards.
        path: of the file.
        of: the run's folder.
    """

    which: str
    episode_return: float
    env_step: int | None
    path: Path
    of: Path

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


def videos_of(setting: Setting) -> list[Video]:
    """Return the newest videos of a setting: those of its median run, else of the first with any.

    A video that doesn't show the episode that was ranked isn't among them.
    """
    middle = setting.middle_run
    runs = [*([middle] if middle is not None else []), *setting.runs]
    return next((found for run in runs if (found := _newest(run.folder))), [])


def _newest(folder: Path) -> list[Video]:
    found = [video for path in _files(folder) if (video := _video(path, folder)) is not None]
    # What was recorded is of the finished agent, and so newer than what was filmed on the way.
    newest = max(found, key=lambda one: _age(one), default=None)
    same = [one for one in found if newest is not None and _age(one) == _age(newest)]
    by_name = {one.which: one for one in same}
    return [by_name[which] for which in _ORDER if which in by_name]


def _age(video: Video) -> float:
    return float("inf") if video.env_step is None else video.env_step


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    places = [folder, *(one for one in folder.iterdir() if one.is_dir())]
    return sorted(path for place in places for path in place.iterdir() if path.suffix in _KINDS)


def _video(path: Path, folder: Path) -> Video | None:
    found = _NAME.fullmatch(path.stem)
    if found is None:
        return None
    step = found["step"]
    try:
        value = float(found["value"])
    except ValueError:
        return None
    return Video(found["which"], value, None if step is None else int(step), path, folder)
