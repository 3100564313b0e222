"""What commands that play episodes have in common: options, and an episode as plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lightning_dqn.commands.command import option

if TYPE_CHECKING:
    from lightning_dqn.transitions import Episode


def run_option() -> Any:
    """Return the option that names a run; it may also be an artifact of W&B's."""
    return option("its folder, or a checkpoint in it", is_path=True, former=["checkpoint"])


def trust_option() -> Any:
    """Return what the run's files may name beside what every run needs."""
    return option(
        "modules of your own that the run's files name, as my_package,my_module: naming them "
        "lets them be imported; null: none",
        None,
    )


def first_seed_option() -> Any:
    """Return the seed of episodes that are played one by one."""
    return option(
        "of the first episode, from which the others' are spawned; null: that of the run's own "
        "test",
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
        "without a limit; null: never",
        "run",
        least=1,
    )


def fps_option() -> Any:
    """Return how fast frames follow each other."""
    return option("frames per second; null: those that the environment says", None, least=0.1)


def plain_episode(episode: Episode) -> dict[str, Any]:
    """Return an episode as JSON has it."""
    return {
        "return": float(episode.episode_return),
        "length": int(episode.episode_length),
        "is_cut": episode.is_cut,
    }
