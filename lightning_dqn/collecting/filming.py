"""Plays an evaluation again and films some of its episodes.

Played again is the whole of it, in as many environments and by the same seed: environments that
share a stream of chance, an opponent's or exploration's, repeat an episode in no other way.
Shapes: E environments.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from gymnasium.vector import VectorEnv

from lightning_dqn.collecting.evaluation import EvaluationConfig, Evaluator
from lightning_dqn.environments.drawing import (
    PICTURES,
    check_gives_pictures,
    draw,
    quiet_drawing,
    render_fps,
)
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.reporting.statistics import best_median_worst
from lightning_dqn.reporting.video import Video, VideoFormat, as_frame, open_video
from lightning_dqn.system.seeding import generators_kept
from lightning_dqn.transitions import Episode, Policy

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
        max_frames: of a video. A longer episode shows one frame in every so many, and its last,
            at its own pace as long as that makes 10 frames a second.
        width: in pixels; None: as it is drawn, small pictures enlarged.
    """

    folder: Path
    prefix: str
    format: VideoFormat
    max_frames: int
    width: int | None = None


class Studio:
    """Environments like those of an evaluation, that are drawn.

    Args:
        environment: the training's, used where ``config`` names no other.
        config: of the evaluation.

    Raises:
        ValueError: they can't be made or drawn.
    """

    def __init__(self, environment: EnvironmentFactory, config: EvaluationConfig) -> None:
        quiet_drawing(has_window=False)
        factory = EnvironmentFactory.of(config.environment or environment)
        self.name = factory.name
        with generators_kept():
            one = factory.make_one()
            with closing(one):
                check_gives_pictures(one, self.name)
            drawn = factory.drawn(PICTURES)
            self._evaluator = Evaluator(environment, replace(config, environment=drawn))
            with ExitStack() as stack:
                stack.callback(self.close)
                self._evaluator.environment.reset(seed=0)
                as_frame(draw(self._evaluator.environment, [0], self.name)[0], None)
                stack.pop_all()

    def film(
        self,
        policy: Policy,
        episodes: Sequence[Episode],
        footage: Footage,
        *,
        seed: int,
        episodes_per_env: int,
        look_up: Callable[[], None] = lambda: None,
    ) -> list[Filmed]:
        """Film the best, the median and the worst episode of an evaluation.

        No generator moves but the environments' own.

        Args:
            policy: as it was evaluated.
            episodes: as the evaluation yielded them; at least one.
            footage: how, and where.
            seed: of the evaluation.
            episodes_per_env: likewise.
            look_up: called before each step; may raise to end it.

        Raises:
            ValueError: what is drawn is no picture, or the environment gave what can't be meant.
            OSError: a file couldn't be written.
        """
        places = best_median_worst([one.episode_return for one in episodes])
        environment = self._evaluator.environment
        fps = render_fps(environment) or DEFAULT_FPS
        footage.folder.mkdir(parents=True, exist_ok=True)
        with generators_kept(), ExitStack() as stack:
            takes = []
            for which, place in places.items():
                number, index = divmod(place, environment.num_envs)
                take = _Take(which, number, index, episodes[place], footage, fps)
                stack.callback(take.discard)
                takes.append(take)
            camera = _Camera(environment, self.name, takes)
            played = self._evaluator.play(
                policy,
                seed=seed,
                episodes_per_env=episodes_per_env,
                observers=[lambda *_: look_up(), camera],
                at_end=camera.at_end,
            )
            while camera.is_waiting and next(played, None) is not None:
                pass
            return [take.finish() for take in takes]

    def close(self) -> None:
        """Close the environments; may be called more than once."""
        self._evaluator.close()


class _Take:
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
        moments = ranked.episode_length + 1
        self._every = math.ceil(moments / footage.max_frames)
        name = f".{footage.prefix}{which}.tmp.{footage.format}"
        self._temporary = footage.folder / name
        expected = math.ceil(moments / self._every) + 1
        self._video: Video = open_video(
            self._temporary, footage.format, fps=pace(fps, self._every), expected=expected
        )

    def passes(self) -> bool:
        """Count a moment; tell whether it is to be filmed."""
        is_due = self._moments % self._every == 0 and self._frames < self._footage.max_frames
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


class _Camera:
    """Looks on while the evaluation is played, and films what is wanted."""

    def __init__(self, environment: VectorEnv, name: str, takes: Sequence[_Take]) -> None:
        self._environment = environment
        self._name = name
        self._takes = takes
        self._over = np.zeros(environment.num_envs, np.int64)

    @property
    def is_waiting(self) -> bool:
        """Whether an episode that is wanted isn't over yet."""
        return any(take.shown is None for take in self._takes)

    def __call__(self, observation: np.ndarray, counts: np.ndarray) -> None:
        """Film the moments before an action is chosen."""
        due = [one for one in self._takes if counts[one.index] and self._is_on(one)]
        self._film([one for one in due if one.passes()])

    def at_end(self, index: int, episode: Episode) -> None:
        """Film how an episode ended."""
        ended = [one for one in self._takes if one.index == index and self._is_on(one)]
        self._film(ended)
        for take in ended:
            take.shown = episode
        self._over[index] += 1

    def _is_on(self, take: _Take) -> bool:
        return bool(self._over[take.index] == take.number)

    def _film(self, takes: Sequence[_Take]) -> None:
        if takes:
            pictures = draw(self._environment, [one.index for one in takes], self._name)
            for take, picture in zip(takes, pictures, strict=True):
                take.take(picture)


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
