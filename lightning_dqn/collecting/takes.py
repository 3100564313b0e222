"""Videos of single episodes, while they are made and when they are done."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from lightning_dqn.reporting.video import Clip, VideoFormat, as_frame
from lightning_dqn.transitions import Episode

DEFAULT_FPS = 10.0
"""Frames per second where the environment doesn't say, and the least where frames are left out."""


class Filmed(NamedTuple):
    """A video of an episode, chosen by what it came to when it was played before.

    Attributes:
        which: ``best``, ``median``, ``worst``, or ``only`` of one episode.
        path: of the file.
        episode: that it shows.
        ranked: as it was counted; another one where it wasn't repeated.
        notes: lines about frames that were left out.
        seed: that it alone was played by; None: it was one of an evaluation's.
    """

    which: str
    path: Path
    episode: Episode
    ranked: Episode
    notes: list[str]
    seed: int | None = None

    @property
    def is_repeated(self) -> bool:
        """Whether it shows the episode that was ranked."""
        return self.episode == self.ranked


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
        self._clip = Clip(
            footage.folder,
            f"{footage.prefix}{which}",
            footage.format,
            fps=pace(fps, self._every),
            expected=math.ceil(ranked.episode_length / self._every) + 1,
        )

    def passes(self) -> bool:
        """Count a moment that isn't the last one; tell whether it is to be filmed."""
        is_due = self._moments % self._every == 0 and self._frames < self._before_the_last
        self._moments += 1
        return is_due

    def take(self, picture: Any) -> None:
        """Film what stands now."""
        self._frames += 1
        self._clip.add(as_frame(picture, self._footage.width))

    def finish(self) -> Filmed:
        """Put the file in its place, named by what it shows."""
        assert self.shown is not None, "an evaluation plays all of its episodes"
        footage = self._footage
        name = f"{footage.prefix}{named(self.which, self.shown, self.ranked)}"
        path, notes = self._clip.finish(name)
        if self._every > 1:
            notes.append(f"one frame in {self._every}: {footage.max_frames:,} are the most")
        return Filmed(self.which, path, self.shown, self.ranked, notes)

    def discard(self) -> None:
        """Leave nothing that isn't finished."""
        self._clip.discard()


def pace(fps: float, every: int) -> float:
    """Return the frames per second of a video that shows one frame in ``every``."""
    return max(fps / every, min(fps, DEFAULT_FPS))


def named(which: str, shown: Episode, ranked: Episode) -> str:
    """Return a video's name: which it is, if it shows what was ranked, and its return."""
    return f"{which if shown == ranked else 'unrepeated'}_return_{shown.episode_return:.6g}"


def episode_text(episode: Episode) -> str:
    """Return what an episode came to, for people."""
    return f"return {episode.episode_return:g} in {episode.episode_length:,} env steps"


def unrepeated(filmed: Filmed) -> str:
    """Return one line about a video that shows another episode than the one ranked."""
    was, shown = filmed.ranked, filmed.episode
    return (
        f"{filmed.which}: the evaluation counted {episode_text(was)}, but its video shows "
        f"{episode_text(shown)} and is named by that: the environment, or the policy, doesn't "
        "repeat itself by its seed"
    )
