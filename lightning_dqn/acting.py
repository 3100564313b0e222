"""A Lightning module around an agent: it acts and is evaluated, whatever it learns by.

Shapes: B batch, A actions.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor, nn

from lightning_dqn.agent import Agent
from lightning_dqn.environments.observations import as_batch, exact_observation
from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.networks.modes import modes_of, set_modes
from lightning_dqn.policy import GreedyPolicy
from lightning_dqn.reporting.rows import Report
from lightning_dqn.reporting.telling import tell_evaluation
from lightning_dqn.system.muted import Muted
from lightning_dqn.transitions import Episode


class ActingModule(pl.LightningModule):
    """Acts as its agent does, and tells of the episodes that were played with it.

    Args:
        agent: networks and acting.

    Attributes:
        agent: likewise; what is saved, exported and played with.
        report: of the episodes, and of what a subclass learns.
        env_steps: that it has learned from.
    """

    def __init__(self, agent: Agent) -> None:
        super().__init__()
        self.agent = agent
        self.report = Report()
        self.env_steps = 0
        self._modes: dict[nn.Module, bool] = {}
        self._muted = Muted()

    def setup(self, stage: str) -> None:
        """Keep Lightning from advice that doesn't concern what is logged here.

        Ranks all log alike, and what goes to loggers is what ``Trainer.test`` returns, also where
        there is none.
        """
        self.unmute()
        advice = [] if self.trainer.loggers else [".*no logger configured.*"]
        if self.trainer.world_size > 1:
            advice.append(".*logging on epoch level in distributed.*")
        self._muted = Muted(*advice)

    def teardown(self, stage: str) -> None:
        """Let that advice come again, to other modules."""
        self.unmute()

    def unmute(self) -> None:
        """Let Lightning give advice again."""
        self._muted.end()

    # --- acting

    @property
    def spec(self) -> EnvironmentSpec:
        """What the agent knows of its environment."""
        return self.agent.spec

    @property
    def q_network(self) -> nn.Module:
        """The network that learns and explores."""
        return self.agent.q_network

    @property
    def target_network(self) -> nn.Module:
        """The copy that values the next state."""
        return self.agent.get_submodule("target_network")

    def forward(self, observation: Tensor) -> Any:
        """Return the evaluation network's output, which the head reads."""
        return self.agent(observation)

    def q_values(self, observation: np.ndarray | Tensor) -> Tensor:
        """Return the values of all actions, float[B, A] or float[A]; see :meth:`Agent.q_values`."""
        return self.agent.q_values(observation)

    def act(
        self,
        observation: np.ndarray | Tensor,
        action_mask: np.ndarray | Tensor | None = None,
        noise: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return the greedy legal actions, int64[B] or int64[]; see :meth:`Agent.act`."""
        return self.agent.act(observation, action_mask, noise)

    def greedy_value(self, observation: Tensor, action_mask: Tensor | None = None) -> Tensor:
        """Return the best legal actions' values, float[M]; see :meth:`Agent.greedy_value`."""
        return self.agent.greedy_value(observation, action_mask)

    def behaviour_policy(self) -> GreedyPolicy:
        """Return who collects, with the weights of this moment; see the agent's."""
        return self.agent.behaviour_policy()

    # --- evaluation

    def on_validation_model_eval(self) -> None:
        """Keep each layer's own mode, for Lightning's memory of it goes with its loop."""
        self._modes = modes_of(self)
        super().on_validation_model_eval()

    on_test_model_eval = on_predict_model_eval = on_validation_model_eval

    def leave_evaluation(self) -> None:
        """Give each layer the mode back that it had before an evaluation that was broken off."""
        set_modes(self._modes)

    def on_validation_epoch_start(self) -> None:
        """Forget the episodes of the last evaluation."""
        self.report.start_evaluation()

    def validation_step(self, episode: Episode, batch_idx: int) -> None:
        """Count one evaluation episode.

        Raises:
            ValueError: what came is no episode.
        """
        if not isinstance(episode, Episode):
            raise ValueError(
                f"a batch of an evaluation is a {type(episode).__name__}: a DQN is evaluated by "
                "episodes of a ReplayDataModule; pass it itself, as in trainer.test(module, "
                "ReplayDataModule(environment)), or call module.q_values(observation)"
            )
        self.report.count_evaluation(episode)

    def on_validation_epoch_end(self) -> None:
        """Log ``eval/``."""
        self._tell_evaluation("eval")

    def on_validation_end(self) -> None:
        """Take the loggers' step away, by which a checkpoint between evaluations would be named."""
        self.trainer.callback_metrics.pop("step", None)

    on_test_epoch_start = on_validation_epoch_start
    test_step = validation_step

    def predict_step(self, batch: Any, batch_idx: int) -> Any:
        """Return :meth:`forward` of a loader's batch of observations.

        Args:
            batch: [B, *shape] of any type that says the same as the environment's, or a list or
                tuple that begins with it, as a TensorDataset gives.
            batch_idx: unused.

        Raises:
            ValueError: the observations have another shape, or a cast would change a value.
        """
        observation = batch[0] if isinstance(batch, list | tuple) else batch
        exact = exact_observation(as_batch(observation, self.spec), self.spec)
        dtype: torch.dtype = getattr(torch, self.spec.observation_dtype)
        return self(torch.as_tensor(exact).to(self.device, dtype))

    def on_test_epoch_end(self) -> None:
        """Log ``test/``."""
        self._tell_evaluation("test")

    def _tell_evaluation(self, stage: Literal["eval", "test"]) -> None:
        row = self.report.evaluation_row(stage)
        if row and not self.trainer.sanity_checking:
            at = self.report.tested_at(self.env_steps) if stage == "test" else self.env_steps
            tell_evaluation(self, {**row, "time/env_steps": at})
            if (warning := self.report.warning_of_cuts()) is not None:
                rank_zero_warn(warning)
