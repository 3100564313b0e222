"""``python -m lightning_dqn record <run>``: videos of a trained agent."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from lightning_dqn.commands.command import run_command
from lightning_dqn.commands.episodes import plain_episode
from lightning_dqn.runs.finished.options import RecordOptions
from lightning_dqn.runs.mistakes import INTERRUPTED

if TYPE_CHECKING:
    from lightning_dqn.runs.finished.recording import Recording


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    run_command(arguments, RecordOptions, _run)


def _run(options: RecordOptions) -> None:
    from lightning_dqn.runs.finished.finished_run import FinishedRun  # the help has no torch
    from lightning_dqn.runs.finished.recording import record
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
    returned = f"{min(returns):g} to {max(returns):g}, median {median(returns):g}"
    print(f"{len(returns)} episodes: return {returned}")
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
