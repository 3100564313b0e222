"""Plays an evaluation again and films some of its episodes.

Played again is the whole of it, in as many environments and by the same seed: environments that
share a stream of chance, an opponent's or exploration's, repeat an episode in no other way.
Shapes: E environments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace

import numpy as np
from gymnasium.vector import VectorEnv

from lightning_dqn.collecting.evaluation import EvaluationConfig, Evaluator
from lightning_dqn.collecting.takes import DEFAULT_FPS, Filmed, Footage, Take
from lightning_dqn.environments.drawing import (
    PICTURES,
    check_gives_pictures,
    draw,
    quiet_drawing,
    render_fps,
)
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.reporting.statistics import best_median_worst
from lightning_dqn.reporting.video import as_frame
from lightning_dqn.system.seeding import generators_kept
from lightning_dqn.transitions import Episode, Policy


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
        factory = config.environments(environment)
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
                take = Take(which, number, index, episodes[place], footage, fps)
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


class _Camera:
    """Looks on while the evaluation is played, and films what is wanted."""

    def __init__(self, environment: VectorEnv, name: str, takes: Sequence[Take]) -> None:
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

    def _is_on(self, take: Take) -> bool:
        return bool(self._over[take.index] == take.number)

    def _film(self, takes: Sequence[Take]) -> None:
        if takes:
            pictures = draw(self._environment, [one.index for one in takes], self._name)
            for take, picture in zip(takes, pictures, strict=True):
                take.take(picture)
