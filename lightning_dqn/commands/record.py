"""``python -m lightning_dqn record <run>``: videos of a trained agent."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

from lightning_dqn.commands.command import option, run_command
from lightning_dqn.commands.episodes import (
    epsilon_option,
    first_seed_option,
    fps_option,
    limit_option,
    plain_episode,
    run_option,
    trust_option,
)
from lightning_dqn.runs.mistakes import INTERRUPTED
from lightning_dqn.runs.playing import Epsilon, Limit

if TYPE_CHECKING:
    from lightning_dqn.runs.recording import Recording


@dataclass
class RecordOptions:
    """Write videos of an agent's best, median and worst episode.

      python -m lightning_dqn record <run> output=<file.mp4, file.gif or folder> [key=value ...]

    All episodes are played without drawing, each by a seed of its own; the three are then played
    again by theirs. A video's name says which it is, its return and its seed, by which
    watch seed=... episodes=1 shows it too. pip install 'lightning-dqn[video]'
    """

    run: str = run_option()
    output: str = option(
        "a folder, or a file.mp4 or file.gif whose name the videos' names begin with"
    )
    format: Literal["mp4", "gif"] | None = option(
        "mp4 or gif (by Pillow alone); null: as output ends, mp4 in a folder", None
    )
    episodes: int = option("how many are played", 20, least=1)
    seed: int | None = first_seed_option()
    epsilon: Epsilon = epsilon_option()
    max_episode_steps: Limit = limit_option()
    fps: float | None = fps_option()
    width: int | None = option(
        "of the video in pixels; null: as it is drawn, small pictures enlarged",
        None,
        least=16,
        most=8192,
    )
    trust: str | None = trust_option()
    json: bool = option("flag: print all as JSON", False)


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    run_command(arguments, RecordOptions, _run)


def _run(options: RecordOptions) -> None:
    from lightning_dqn.runs.finished import FinishedRun  # with torch, which the help does without
    from lightning_dqn.runs.recording import record
    from lightning_dqn.runs.trust import Trust

    try:
        recording = record(FinishedRun.find(options.run, Trust.of(options.trust)), options)
    except KeyboardInterrupt:
        print("lightning-dqn: interrupted; videos that were ready are kept", file=sys.stderr)
        sys.exit(INTERRUPTED)
    if options.json:
        print(json.dumps({"run": options.run, **_plain(recording)}, indent=2))
        return
    returns = [one.episode.episode_return for one in recording.episodes]
    told = f"{min(returns):g} to {max(returns):g}, median {median(returns):g}"
    print(f"{len(returns)} episodes: return {told}")
    for video in recording.videos:
        is_as_ranked = "" if video.is_repeated else " (not repeated)"
        print(
            f"{video.which}{is_as_ranked}: return {video.episode.episode_return:g}, "
            f"{video.episode.episode_length:,} env steps, seed {video.seed}: {video.path}"
        )
    for note in recording.notes:
        print(note)


def _plain(recording: Recording) -> dict[str, Any]:
    return {
        "episodes": [
            {"seed": one.seed, **plain_episode(one.episode)} for one in recording.episodes
        ],
        "videos": [
            {
                "which": video.which,
                "file": str(video.path),
                "seed": video.seed,
                **plain_episode(video.episode),
                "is_repeated": video.is_repeated,
            }
            for video in recording.videos
        ],
        "notes": recording.notes,
    }
