"""Videos of an agent's best, median and worst episode among several."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lightning_dqn.collecting.takes import DEFAULT_FPS, Filmed, episode_text, named
from lightning_dqn.environments.drawing import PICTURES, check_gives_pictures, quiet_drawing
from lightning_dqn.reporting.statistics import best_median_worst
from lightning_dqn.reporting.video import Clip, VideoFormat, as_frame, check_installed
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.finished.evaluate import test_seed
from lightning_dqn.runs.finished.finished_run import FinishedRun
from lightning_dqn.runs.finished.options import RecordOptions
from lightning_dqn.runs.finished.playing import as_tested
from lightning_dqn.runs.finished.showing import Stage, episode_seeds
from lightning_dqn.system.files import RECORDING, write_json
from lightning_dqn.transitions import Episode


class Played(NamedTuple):
    """An episode and the seed that it was played by."""

    seed: int
    episode: Episode


class Recording(NamedTuple):
    """What :func:`record` made.

    Attributes:
        episodes: all that were played, in their order.
        videos: of three of them.
        notes: lines about what isn't as it might be thought.
    """

    episodes: list[Played]
    videos: list[Filmed]
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

    def name(self, which: str, played: Played, shown: Episode) -> str:
        """Return the name of a video's file, without its suffix."""
        return f"{self.prefix}{named(which, shown, played.episode)}_seed_{played.seed}"

    def note(self, videos: Sequence[Filmed], *, env_steps: int | None, seed: int) -> None:
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
        content = {"env_steps": env_steps, "seed": seed, "videos": shown}
        write_json(self.folder / f"{self.prefix}{RECORDING}", content)


def record(run: FinishedRun, options: RecordOptions) -> Recording:
    """Play episodes without drawing them, then three of them again for their videos.

    Each episode has a seed of its own, from which it is played again.

    Args:
        run: whose agent plays, in the environment that it was evaluated in.
        options: how; which run it is, and who is trusted, was read of them before.

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
    fps = options.fps or stage.fps or DEFAULT_FPS
    videos = [
        _record(stage, which, one, output, fps, options.width)
        for which, one in chosen(played).items()
    ]
    notes = list(dict.fromkeys(note for video in videos for note in _notes(video)))
    if cut := sum(one.episode.is_cut for one in played):
        notes.append(f"{cut} of {len(played)} episodes were cut; max_episode_steps=N sets where")
    return Recording(played, videos, notes)


def _record(
    stage: Stage, which: str, one: Played, output: Output, fps: float, width: int | None
) -> Filmed:
    """Play an episode again and write its video, named by what it shows."""
    shown = one.episode
    stem = f"{output.prefix}{which}_seed_{one.seed}"
    expected = one.episode.episode_length + 1
    clip = Clip(output.folder, stem, output.format, fps=fps, expected=expected)
    try:
        for moment in stage.play(one.seed):
            shown = moment.episode
            clip.add(as_frame(stage.frame(), width))
        path, notes = clip.finish(output.name(which, one, shown))
    finally:
        clip.discard()
    return Filmed(which, path, shown, one.episode, notes, one.seed)


def _notes(video: Filmed) -> list[str]:
    if video.is_repeated:
        return video.notes
    unrepeated = (
        f"{video.which}: seed {video.seed} gave {episode_text(video.ranked)} at first, but "
        f"{episode_text(video.episode)} in the video, which is named by that: the environment, or "
        "the agent, doesn't repeat itself by its seed"
    )
    return [*video.notes, unrepeated]
