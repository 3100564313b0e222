"""Promotion of a learner to the pool of past selves that it learns against."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, ClassVar

import pytorch_lightning as pl
from torch import nn

from lightning_dqn.agent import Agent
from lightning_dqn.callbacks.board_evaluation import BoardEvaluation
from lightning_dqn.callbacks.period import never_validated
from lightning_dqn.dqn import DQN
from lightning_dqn.games.matches import Record, play_both_seats
from lightning_dqn.games.opponents.opponent import Opponent
from lightning_dqn.games.opponents.past_selves import (
    GROWING,
    IN_CHECKPOINT,
    PastSelves,
    pool_of,
    restored,
)
from lightning_dqn.games.opponents.policy import PolicyOpponent
from lightning_dqn.games.opponents.random import RandomOpponent
from lightning_dqn.learning.monitors import INSTEAD, monitored, returns_from
from lightning_dqn.live.extra_evaluation import is_by_key
from lightning_dqn.policy import GreedyPolicy
from lightning_dqn.reporting.statistics import sign_test
from lightning_dqn.system.numbers import finite_number, whole_number
from lightning_dqn.system.seeding import generator_of


class PromotePastSelf(BoardEvaluation):
    """Adds a frozen copy of the agent to the training opponent's pool once it is clearly better.

    After each validation the greedy policy plays the newest past self, half of the games in
    either seat; while the pool is empty it plays random moves, as training does. It is promoted
    if a one-sided sign test on the decided games says at ``level`` that it wins more of them than
    it loses. Each validation is a separate test: an agent that is only as good is promoted in
    about ``level`` of them. An evaluation that a key of the dashboard starts promotes nobody.

    The training environment's opponent must be a
    :class:`lightning_dqn.games.opponents.past_selves.PastSelves`. The pool's weights are in the
    checkpoint. If evaluation has its own pool, it is filled in the same way.

    Args:
        games: in all, half in either seat.
        level: significance level of being better.
        random_plies: random moves at the start of each game, since both players are greedy.
        every_n_epochs: play after the validations of every n-th epoch.
        seed: of the games, new ones each time. None: derived from the data module's.

    Attributes:
        promotions: promotions so far.
    """

    fills_past_selves: ClassVar[bool] = True
    alone_because: ClassVar[str] = (
        "several ranks can't promote at the same moment, with collecting in each of them"
    )

    def __init__(
        self,
        *,
        games: int = 200,
        level: float = 0.05,
        random_plies: int = 2,
        every_n_epochs: int = 1,
        seed: int | None = None,
    ) -> None:
        super().__init__(every_n_epochs=every_n_epochs)
        self.games = whole_number("games", games, least=2)
        if self.games % 2:
            raise ValueError(f"games={games}: an even number from 2, half in either seat")
        if not 0 < finite_number("level", level) < 1:
            raise ValueError(f"level={level}: a probability, between 0 and 1")
        self.level = level
        self.random_plies = whole_number("random_plies", random_plies)
        self.seed = None if seed is None else whole_number("seed", seed)
        self.promotions = 0
        self._seed = 0
        self._pool: PastSelves
        self._of_evaluation: PastSelves | None = None
        self._agent: Agent
        self._networks: list[nn.Module] = []

    def prepare(self, trainer: pl.Trainer, module: DQN, stage: str) -> None:
        """Find the pool; empty it if the agent hasn't learned yet, else keep its content.

        Raises:
            ValueError: the training environment has another opponent, runs elsewhere, or is stepped
                in a thread, where a promotion would take effect at an unknown time; or a callback
                compares returns against the pool.
        """
        opponent = self.environment.opponent
        if not isinstance(opponent, PastSelves):
            raise ValueError(
                f"PromotePastSelf: the training environment's opponent is {opponent!r}; make it "
                "PastSelves() from lightning_dqn.games.opponents.past_selves, on the command line "
                "+environment.kwargs.opponent._target_=<that>.PastSelves"
            )
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        if getattr(data.collection, "is_elsewhere", False):
            raise ValueError("PromotePastSelf: actors elsewhere have pools of their own")
        if data.collection.overlap:
            raise ValueError("PromotePastSelf: overlap=True collects during validation")
        self._pool, self._agent = opponent, module.agent
        self._of_evaluation = pool_of(data.evaluation_environment)
        _check_monitors(trainer, data)
        self._seed = self.seed_from(trainer, self.seed)
        if stage != "fit":
            return
        if module.updates == 0:
            self._fill([])
            self.promotions = 0
        elif self._networks:  # of the fit before, whose pool another one may take the place of
            self._fill(self._networks)
        else:
            policies = [one for one in opponent.policies if isinstance(one, GreedyPolicy)]
            self._networks = [one.network for one in policies]

    def unread(self, trainer: pl.Trainer, module: DQN) -> Iterator[tuple[str, str]]:
        """Yield what nothing reads in a run, see :meth:`ModelOperation.unread`."""
        yield from never_validated(trainer, self.every_n_epochs)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Move past selves to the device that learns."""
        for network in self._networks:
            network.to(pl_module.device)

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Promote nobody: a test changes nothing."""

    def measure(self, trainer: pl.Trainer, module: DQN) -> Mapping[str, float]:
        """Play, promote the agent if it is better, and return how often it won."""
        record = self._play(module)
        is_gate = trainer.state.fn == "fit" and not is_by_key(trainer)
        if is_gate and sign_test(record.wins, record.wins + record.losses) <= self.level:
            network = deepcopy(self._agent.get_submodule(self._agent.evaluation_network))
            self._fill([*self._networks, network.requires_grad_(False).eval()])
            self.promotions += 1
        return {"promotion_win_rate": record.wins / self.games, "promotions": self.promotions}

    def state_dict(self) -> dict[str, Any]:
        """Return the number of promotions and the pool's weights."""
        weights = [
            {name: tensor.detach().cpu().clone() for name, tensor in n.state_dict().items()}
            for n in self._networks
        ]
        return {"promotions": self.promotions, IN_CHECKPOINT: weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take them back, before the first move is made."""
        self.promotions = state_dict["promotions"]
        policies = restored(self._agent, state_dict[IN_CHECKPOINT])
        self._fill([policy.network for policy in policies])

    def _play(self, module: DQN) -> Record:
        newest: Opponent = RandomOpponent()
        if self._networks:
            newest = PolicyOpponent(self._pool.policies[-1])
        records = play_both_seats(
            self.environment.game,
            PolicyOpponent(module.agent),
            newest,
            self.games // 2,
            generator_of(self._seed, "promotion", module.env_steps),
            random_plies=self.random_plies,
        )
        return records.total

    def _fill(self, networks: list[nn.Module]) -> None:
        """Make these the pool, the newest last."""
        policies = [GreedyPolicy(one, self._agent.head, self._agent.spec) for one in networks]
        for pool in (self._pool, self._of_evaluation):
            if pool is not None:
                pool.clear()
                for policy in policies:
                    pool.add(policy)
        self._networks = networks[-self._pool.capacity :]


def _check_monitors(trainer: pl.Trainer, data: Any) -> None:
    """Refuse callbacks that compare returns against the pool, which grows."""
    for callback, key in monitored(trainer.callbacks):  # type: ignore[attr-defined]
        if pool_of(returns_from(key, data)) is not None:
            raise ValueError(
                f"{type(callback).__name__}(monitor={key!r}): goes by returns against {GROWING}; "
                f"{INSTEAD}"
            )
