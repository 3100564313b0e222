"""Options of the commands that play episodes of a finished run.

Their help is made of them, so nothing here imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from lightning_dqn.runs.finished.playing import Epsilon, Limit
from lightning_dqn.runs.options import option, trust_option


def run_option() -> Any:
    """Return the option that names a run; it may also be an artifact of W&B's."""
    return option("its folder, or a checkpoint in it", is_path=True, former=["checkpoint"])


def first_seed_option() -> Any:
    """Return the seed of episodes that are played one by one."""
    return option(
        "seed of the first episode, from which the others' seeds are derived; null: that of the "
        "run's own test",
        None,
        least=0,
    )


def epsilon_option() -> Any:
    """Return how often an action is random."""
    return option(
        "probability of a random action; run: that of the run's own test; auto: what the "
        "environment's protocol says",
        "run",
        least=0,
        most=1,
    )


def limit_option() -> Any:
    """Return where an episode is cut."""
    return option(
        "env steps after which an episode is cut; run: as in the run's own test; auto: 10,000 "
        "if it has no limit; null: never",
        "run",
        least=1,
    )


def fps_option() -> Any:
    """Return how fast frames follow each other."""
    return option("frames per second; null: as the environment says", None, least=0.1)


@dataclass
class RecordOptions:
    """Write videos of an agent's best, median and worst episode.

      python -m lightning_dqn record <run> output=<file.mp4, file.gif or folder> [key=value ...]

    All episodes are played without rendering, each with its own seed; the three are then repeated
    with theirs. A video's name says which it is, its return and its seed, with which
    watch seed=... episodes=1 shows it too. pip install 'lightning-dqn[video]'
    """

    run: str = run_option()
    output: str = option("a folder, or a file.mp4 or file.gif whose name starts the videos' names")
    format: Literal["mp4", "gif"] | None = option(
        "mp4 or gif (needs only Pillow); null: as output ends, mp4 in a folder", None
    )
    episodes: int = option("episodes played", 20, least=1)
    seed: int | None = first_seed_option()
    epsilon: Epsilon = epsilon_option()
    max_episode_steps: Limit = limit_option()
    fps: float | None = fps_option()
    width: int | None = option(
        "width of the video in pixels; null: as rendered, with small pictures enlarged",
        None,
        least=16,
        most=8192,
    )
    trust: str | None = trust_option()
    json: bool = option("flag: print all as JSON", False)


@dataclass
class WatchOptions:
    """Show a trained agent at work, in the environment's own window or as text.

      python -m lightning_dqn watch <run> [key=value ...]

    Text is what the environment renders as text, such as a board, or else a line for each step
    with the Q-values that chose its action. Ctrl-C ends it.
    """

    run: str = run_option()
    episodes: int = option("episodes shown", 3, least=1)
    seed: int | None = first_seed_option()
    epsilon: Epsilon = epsilon_option()
    max_episode_steps: Limit = limit_option()
    fps: float | None = fps_option()
    trust: str | None = trust_option()
    text: bool = option("text, even if a window is possible", False)
