"""Videos of single episodes, while they are made and when they are done."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from lightning_dqn.reporting.video import Video, VideoFormat, as_frame, open_video
from lightning_dqn.transitions import Episode

DEFAULT_FPS = 10.0
"""Frames per second where the environment doesn't say, and the least where frames are left out."""


class Filmed(NamedTuple):
    """A video of an evaluation's episode.

    Attributes:
        which: ``best``, ``median``, ``worst``, or ``only`` of one episode.
        path: of the file.
        episode: that it shows.
        ranked: as the evaluation counted it; another one where it wasn't repeated.
        notes: lines about frames that were left out.
    """

    which: str
    path: Path
    episode: Episode
    ranked: Episode
    notes: list[str]


@dataclass(frozen=True)
class Footage:
    """How videos are made, and where.

    Args:
        folder: of the files, made if it isn't there.
        prefix: how their names begin; ``<which>_return_<return>.<format>`` follows.
        format: of the files.
        max_frames: of a video. A longer episode shows one frame in every so many, the last of
            them how it ends, at its own pace as long as that makes 10 frames a second.
        width: in pixels; None: as it is drawn, small pictures enlarged.
    """

    folder: Path
    prefix: str
    format: VideoFormat
    max_frames: int
    width: int | None = None


class Take:
    """One video while it is made.

    Attributes:
        number: of the episode among those of its environment, from 0.
        index: of the environment.
        shown: the episode, when it is over.
    """

    def __init__(
        self,
        which: str,
        number: int,
        index: int,
        ranked: Episode,
        footage: Footage,
        fps: float,
    ) -> None:
        self.which, self.number, self.index, self.ranked = which, number, index, ranked
        self.shown: Episode | None = None
        self._footage = footage
        self._moments, self._frames = 0, 0
        self._before_the_last = footage.max_frames - 1
        self._every = math.ceil(ranked.episode_length / max(1, self._before_the_last))
        name = f".{footage.prefix}{which}.tmp.{footage.format}"
        self._temporary = footage.folder / name
        expected = math.ceil(ranked.episode_length / self._every) + 1
        self._video: Video = open_video(
            self._temporary,
            footage.format,
            fps=pace(fps, self._every),
            expected=expected,
        )

    def passes(self) -> bool:
        """Count a moment that isn't the last one; tell whether it is to be filmed."""
        is_due = self._moments % self._every == 0 and self._frames < self._before_the_last
        self._moments += 1
        return is_due

    def take(self, picture: Any) -> None:
        """Film what stands now."""
        self._frames += 1
        self._video.add(as_frame(picture, self._footage.width))

    def finish(self) -> Filmed:
        """Put the file in its place, named by what it shows."""
        assert self.shown is not None, "an evaluation plays all of its episodes"
        footage = self._footage
        notes = self._video.finish()
        if self._every > 1:
            notes.append(f"one frame in {self._every}: {footage.max_frames:,} are the most")
        which = self.which if self.shown == self.ranked else "unrepeated"
        told = f"{which}_return_{self.shown.episode_return:.6g}"
        path = footage.folder / f"{footage.prefix}{told}.{footage.format}"
        os.replace(self._temporary, path)
        return Filmed(self.which, path, self.shown, self.ranked, notes)

    def discard(self) -> None:
        """Leave nothing that isn't finished."""
        with suppress(OSError):
            self._video.close()
        self._temporary.unlink(missing_ok=True)


def pace(fps: float, every: int) -> float:
    """Return the frames per second of a video that shows one frame in ``every``."""
    return max(fps / every, min(fps, DEFAULT_FPS))


def unrepeated(filmed: Filmed) -> str:
    """Return one line about a video that shows another episode than the one ranked."""
    was, shown = filmed.ranked, filmed.episode
    return (
        f"{filmed.which}: the evaluation counted {_told(was)}, but its video shows {_told(shown)} "
        "and is named by that: the environment, or the policy, doesn't repeat itself by its seed"
    )


def _told(episode: Episode) -> str:
    return f"return {episode.episode_return:g} in {episode.episode_length:,} env steps"
