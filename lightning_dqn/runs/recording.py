"""Videos of an agent's best, median and worst episode among several."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from lightning_dqn.environments.drawing import PICTURES, check_gives_pictures, quiet_drawing
from lightning_dqn.reporting.statistics import best_median_worst
from lightning_dqn.reporting.video import VideoFormat, as_frame, check_installed, write_video
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.evaluate import test_seed
from lightning_dqn.runs.finished import FinishedRun
from lightning_dqn.runs.playing import Epsilon, Limit, as_tested
from lightning_dqn.runs.showing import Stage, episode_seeds
from lightning_dqn.system.files import RECORDING, write_json
from lightning_dqn.transitions import Episode

_FPS = 10.0
"""Frames per second where the environment doesn't say."""


class RecordOptions(Protocol):
    """How it is recorded, as the command line has it."""

    output: str
    format: VideoFormat | None
    episodes: int
    seed: int | None
    epsilon: Epsilon
    max_episode_steps: Limit
    fps: float | None
    width: int | None


class Played(NamedTuple):
    """An episode and the seed that it was played by."""

    seed: int
    episode: Episode


class Video(NamedTuple):
    """A video.

    Attributes:
        which: ``best``, ``median``, ``worst``, or ``only`` of one episode.
        path: of the file.
        seed: of the episode.
        episode: that it shows.
        ranked: as it was played to be ranked; another one where it wasn't repeated.
    """

    which: str
    path: Path
    seed: int
    episode: Episode
    ranked: Episode

    @property
    def is_repeated(self) -> bool:
        """Whether it shows the episode that was ranked."""
        return self.episode == self.ranked


class Recording(NamedTuple):
    """What :func:`record` made.

    Attributes:
        episodes: all that were played, in their order.
        videos: of three of them.
        notes: lines about what isn't as it might be thought.
    """

    episodes: list[Played]
    videos: list[Video]
    notes: list[str]


class Output(NamedTuple):
    """Where videos go: ``<folder>/<prefix><which>_return_<return>_seed_<seed>.<format>``."""

    folder: Path
    prefix: str
    format: VideoFormat

    @classmethod
    def of(cls, output: str, format: VideoFormat | None) -> Output:
        """Return what a path means: a file whose name begins those of the videos, or a folder.

        Raises:
            ConfigError: it ends like something else, or like another format than the one given.
        """
        path = Path(output)
        if path.is_dir() or output.endswith(("/", os.sep)) or not path.suffix:
            if path.exists() and not path.is_dir():
                raise ConfigError(f"output={output}: is a file; name a folder, or a .mp4 or .gif")
            return cls(path, "", format or "mp4")
        found = path.suffix[1:].lower()
        if found not in ("mp4", "gif"):
            raise ConfigError(
                f"output={output}: no video ends so here; there are .mp4 and .gif, and a folder's "
                "name ends with /"
            )
        if format not in (None, found):
            raise ConfigError(f"format={format}: output={output} ends with .{found}")
        return cls(path.parent, f"{path.stem}_", "gif" if found == "gif" else "mp4")

    def path(self, which: str, seed: int, episode: Episode) -> Path:
        """Return the path of a video."""
        told = f"{which}_return_{episode.episode_return:.6g}_seed_{seed}"
        return self.folder / f"{self.prefix}{told}.{self.format}"

    def note(self, videos: Sequence[Video], *, env_steps: int | None, seed: int) -> None:
        """Write down which videos belong together, in place of those of an earlier recording.

        Args:
            videos: of one recording; those of another episode than the ranked one are left out.
            env_steps: that the weights were trained for.
            seed: of the first episode.
        """
        shown = {
            one.which: {"file": one.path.name, "return": one.episode.episode_return}
            for one in videos
            if one.is_repeated
        }
        told = {"env_steps": env_steps, "seed": seed, "videos": shown}
        write_json(self.folder / f"{self.prefix}{RECORDING}", told)


def record(run: FinishedRun, options: RecordOptions) -> Recording:
    """Play episodes without drawing them, then three of them again for their videos.

    Each episode has a seed of its own, from which it is played again.

    Args:
        run: whose agent plays, in the environment that it was evaluated in.
        options: how.

    Raises:
        ValueError: the run can't be read, the environment has no pictures, or a package is
            missing; all that before anything is played.
    """
    output = Output.of(options.output, options.format)
    check_installed(output.format, resizes=options.width is not None)
    quiet_drawing(has_window=False)
    factory = run.environment()
    agent = run.agent_for(factory)
    seed = test_seed(run) if options.seed is None else options.seed
    how = as_tested(run, epsilon=options.epsilon, max_episode_steps=options.max_episode_steps)
    unseen = Stage(factory, agent, **how)
    try:
        check_gives_pictures(unseen.environment, unseen.name)
        seen = Stage(factory, agent, render_mode=PICTURES, **how)
        try:
            next(seen.play(seed))
            as_frame(seen.frame(), options.width)  # what is missing is told before it is played
            output.folder.mkdir(parents=True, exist_ok=True)
            seeds = episode_seeds(seed, options.episodes)
            played = [Played(one, _play(unseen, one)) for one in seeds]
            recording = _recorded(seen, played, output, options)
            output.note(recording.videos, env_steps=run.env_steps(), seed=seed)
            return recording
        finally:
            seen.close()
    finally:
        unseen.close()


def chosen(played: Sequence[Played]) -> dict[str, Played]:
    """Return the best, the median and the worst of several episodes, none of them twice."""
    places = best_median_worst([one.episode.episode_return for one in played])
    return {which: played[place] for which, place in places.items()}


def _play(stage: Stage, seed: int) -> Episode:
    episode = Episode(0.0, 0)
    for moment in stage.play(seed):
        episode = moment.episode
    return episode


def _recorded(
    stage: Stage, played: list[Played], output: Output, options: RecordOptions
) -> Recording:
    fps = options.fps or stage.fps or _FPS
    videos, notes = [], []
    for which, one in chosen(played).items():
        video, about = _record(stage, which, one, output, fps, options.width)
        videos.append(video)
        notes += [note for note in about if note not in notes]
    if cut := sum(one.episode.is_cut for one in played):
        notes.append(f"{cut} of {len(played)} episodes were cut; max_episode_steps=N sets where")
    return Recording(played, videos, notes)


def _record(
    stage: Stage, which: str, one: Played, output: Output, fps: float, width: int | None
) -> tuple[Video, list[str]]:
    """Play an episode again and write its video, named by what it shows."""
    shown = one.episode

    def frames() -> Iterator[np.ndarray]:
        nonlocal shown
        for moment in stage.play(one.seed):
            shown = moment.episode
            yield as_frame(stage.frame(), width)

    temporary = output.folder / f".{output.prefix}{which}_seed_{one.seed}.tmp.{output.format}"
    try:
        notes = write_video(
            temporary,
            frames(),
            output.format,
            fps=fps,
            expected=one.episode.episode_length + 1,
        )
        name = which if shown == one.episode else "unrepeated"
        path = output.path(name, one.seed, shown)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    video = Video(which, path, one.seed, shown, one.episode)
    if not video.is_repeated:
        notes.append(
            f"{which}: seed {one.seed} gave {_told(one.episode)} at first, but {_told(shown)} in "
            "the video, which is named by that: the environment, or the agent, doesn't repeat "
            "itself by its seed"
        )
    return video, notes


def _told(episode: Episode) -> str:
    return f"return {episode.episode_return:g} in {episode.episode_length:,} env steps"
