"""The replay DataModule: Lightning's batches are iterations of collecting and sampling."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, cast

import pytorch_lightning as pl
import torch
from gymnasium.vector import VectorEnv

from lightning_dqn.collecting.collector import CollectionConfig, Collector
from lightning_dqn.collecting.evaluation import EvaluationConfig, Observer, play_episodes
from lightning_dqn.environments.factory import EnvironmentFactory, EnvironmentLike
from lightning_dqn.replay.ring import ReplayBuffer
from lightning_dqn.replay.samplers.lambda_returns import LambdaReturns
from lightning_dqn.replay.samplers.make import SamplerConfig, make_sampler
from lightning_dqn.replay.samplers.online import OnlineTransitions
from lightning_dqn.replay.samplers.sampler import Sampler
from lightning_dqn.replay.storage import ReplayConfig, check_batches_fit, check_ring_fits
from lightning_dqn.transitions import Episode, Iteration, Learner, Rows, Transitions

TEST_SEED_OFFSET = 1_000_000


class ReplayDataModule(pl.LightningDataModule):
    """Collects experience with the module's policy and serves minibatches of it.

    One batch of Lightning's is one iteration: ``env_steps_per_iteration`` env steps, then
    ``updates_per_iteration`` minibatches [U, B, ...] for as many updates. An epoch is
    ``env_steps_per_epoch``; validation plays evaluation episodes at its end.

    Args:
        environment: a gymnasium id, a function that makes a ``gymnasium.Env``, a ``VectorEnv``
            in NEXT_STEP mode, or an :class:`EnvironmentFactory`.
        batch_size: B.
        updates_per_iteration: U.
        env_steps_per_iteration: env steps collected before them; one more step of all
            environments may be needed to reach it, and the next iteration takes that much less.
        env_steps_per_epoch: rounded up to whole iterations.
        replay: the ring and the meaning of a transition.
        sampler: which transitions are learned from: None for uniform replay,
            :class:`PrioritizedSampling`, :class:`LambdaReturns` or :class:`OnlineTransitions`.
            The last two learn from the newest rollout only and set capacity, U, B and
            ``env_steps_per_iteration`` themselves.
        collection: warm-up, exploration, overlap.
        evaluation: environments and episodes of validation and test.
        seed: of the training environments, exploration and sampling.

    Attributes:
        after_collection: functions of the env steps so far, called after every collection,
            also during the warm-up; progress displays append to it.
        observers: functions that look on while evaluation episodes are played, see
            :func:`lightning_dqn.collecting.evaluation.play_episodes`.
    """

    def __init__(
        self,
        environment: EnvironmentLike,
        *,
        batch_size: int = 128,
        updates_per_iteration: int = 8,
        env_steps_per_iteration: int = 64,
        env_steps_per_epoch: int = 5_000,
        replay: ReplayConfig | None = None,
        sampler: SamplerConfig | None = None,
        collection: CollectionConfig | None = None,
        evaluation: EvaluationConfig | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        counts = {
            "batch_size": batch_size,
            "updates_per_iteration": updates_per_iteration,
            "env_steps_per_iteration": env_steps_per_iteration,
            "env_steps_per_epoch": env_steps_per_epoch,
        }
        for name, count in counts.items():
            if count < 1:
                raise ValueError(f"{name}={count}: at least 1")
        self.environment = EnvironmentFactory.of(environment)
        self.batch_size = batch_size
        self.updates_per_iteration = updates_per_iteration
        self.env_steps_per_iteration = env_steps_per_iteration
        self.env_steps_per_epoch = env_steps_per_epoch
        self.replay_config = replay or ReplayConfig()
        self.sampler_config = sampler
        self.collection = collection or CollectionConfig()
        if isinstance(sampler, LambdaReturns):
            self._learn_from_rollouts(sampler)
        if isinstance(sampler, OnlineTransitions):
            self._learn_online(sampler)
        self.evaluation = evaluation or EvaluationConfig()
        self.seed = seed
        self.after_collection: list[Callable[[int], None]] = []
        self.observers: list[Observer] = []
        self.replay: ReplayBuffer | None = None
        self.sampler: Sampler | None = None
        self.collector: Collector | None = None
        self._training_environment: VectorEnv | None = None
        self._evaluation_environment: VectorEnv | None = None
        self._restored: dict[str, Any] | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._ahead: Future[Rows] | None = None
        self._target_env_steps = 0

    @property
    def iterations_per_epoch(self) -> int:
        """Lightning's batches in an epoch."""
        return -(-self.env_steps_per_epoch // self.env_steps_per_iteration)

    def setup(self, stage: str) -> None:
        """Make the training environments and the replay ring, where they are needed."""
        if stage != "fit" or self.replay is not None:
            return
        self._training_environment = self.environment.make()
        self.collector = Collector(
            self._training_environment,
            self.environment.spec,
            epsilon=self.collection.epsilon if self.collection.epsilon_greedy else 0.0,
            random_action_max_steps=self.collection.random_action_max_steps,
            temperature=self.collection.temperature,
            seed=self.seed,
        )
        self.replay = ReplayBuffer(
            self.environment.spec,
            self.collector.num_envs,
            self.replay_config,
            device=self._trainer.strategy.root_device,
            directory=self._trainer.default_root_dir,
            seed=self.seed,
        )
        self.sampler = make_sampler(self.replay, self.sampler_config, self.collector.upcoming)
        if self._restored is not None:
            self.load_state_dict(self._restored)

    def check_memory(self, device: torch.device | str = "cpu") -> None:
        """Refuse sizes that don't fit, before anything is allocated.

        Args:
            device: where the module learns.

        Raises:
            ValueError: naming what is too large, the bytes needed and free.
        """
        spec, num_envs = self.environment.spec, self.environment.num_envs
        directory = self.trainer.default_root_dir if self.trainer is not None else None
        check_ring_fits(spec, num_envs, self.replay_config, device=device, directory=directory)
        check_batches_fit(spec, self.updates_per_iteration, self.batch_size)

    def train_dataloader(self) -> TrainStream:
        """Return the sized stream of iterations."""
        return TrainStream(self)

    def val_dataloader(self) -> EvaluationStream:
        """Return the sized stream of validation episodes, the same ones each time."""
        return EvaluationStream(self, self.evaluation.seed, self.evaluation.episodes_per_env)

    def test_dataloader(self) -> EvaluationStream:
        """Return the sized stream of test episodes, other ones than for validation."""
        seed = self.evaluation.seed + TEST_SEED_OFFSET
        return EvaluationStream(self, seed, self.evaluation.test_episodes_per_env)

    def warm_up(self) -> None:
        """Fill the ring with ``warmup_env_steps`` of experience before learning.

        The first time actions are random; after a restart from a checkpoint, which doesn't
        hold the ring, they are the policy's.
        """
        collector, _, _ = self._parts()
        is_first = collector.env_steps == 0
        policy = None if is_first else self._learner.behaviour_policy()
        # One transition at least must be there to sample from, unless an iteration brings its own.
        is_online = isinstance(self.sampler_config, OnlineTransitions)
        least = 0 if is_online else 2 * collector.num_envs
        until = collector.env_steps + max(self.collection.warmup_env_steps, least)
        while collector.env_steps < until:
            chunk = min(until, collector.env_steps + max(1_000, 4 * collector.num_envs))
            self._keep(collector.collect(policy, chunk))
        self._target_env_steps = until

    def next_iteration(self) -> Iteration:
        """Collect, store and sample: one batch for the module."""
        collector, replay, sampler = self._parts()
        before = self._target_env_steps
        rows = self._ahead.result() if self._ahead is not None else self._collect()()
        self._ahead = None
        self._keep(rows)
        env_steps, episodes = collector.env_steps, collector.take_episodes()
        self._target_env_steps += self.env_steps_per_iteration
        replay.follow_schedules(env_steps)
        iteration = Iteration(
            transitions=sampler.sample(
                self.updates_per_iteration, self.batch_size, env_steps, self._learner
            ),
            env_steps=env_steps,
            new_env_steps=env_steps - before,
            epsilon=collector.epsilon(env_steps),
            episodes=episodes,
            update_priorities=sampler.update_priorities if sampler.uses_priorities else None,
        )
        if self.collection.overlap:
            self._ahead = self._collect_ahead()
        return iteration

    def evaluation_episodes(self, seed: int, episodes_per_env: int) -> Iterator[Episode]:
        """Play the episodes of one evaluation with the module as it is now."""
        if self._evaluation_environment is None:
            factory = EnvironmentFactory.of(self.evaluation.environment or self.environment)
            self._evaluation_environment = factory.make(self.evaluation.num_envs)
        return play_episodes(
            self._evaluation_environment,
            self.environment.spec,
            self._learner,
            episodes_per_env=episodes_per_env,
            epsilon=self.evaluation.epsilon,
            seed=seed,
            observers=self.observers,
        )

    def transfer_batch_to_device(
        self, batch: Iteration | Episode, device: torch.device, dataloader_idx: int
    ) -> Iteration | Episode:
        """Move an iteration's minibatches to the device that learns."""
        if isinstance(batch, Episode) or batch.transitions.action.device == device:
            return batch
        moved = (None if c is None else c.to(device) for c in batch.transitions)
        return batch._replace(transitions=Transitions(*moved))  # type: ignore[arg-type]

    def state_dict(self) -> dict[str, Any]:
        """Return the counters and generators of collecting and sampling, but not the ring."""
        if self.collector is None or self.replay is None:
            return {}
        if self._ahead is not None:
            self._ahead.result()
        return {"collector": self.collector.state_dict(), "replay": self.replay.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` gave; the ring fills again from the policy."""
        self._restored = state_dict
        if state_dict and self.collector is not None and self.replay is not None:
            self.collector.load_state_dict(state_dict["collector"])
            self.replay.load_state_dict(state_dict["replay"])

    def teardown(self, stage: str) -> None:
        """Close the environments and end the collecting thread."""
        self.close()

    def on_exception(self, exception: BaseException) -> None:
        """Close the environments and end the collecting thread: no teardown follows."""
        self.close()

    def close(self) -> None:
        """Close what this data module made; may be called more than once."""
        if self._thread is not None:
            self._thread.shutdown(wait=True, cancel_futures=True)
        for environment in (self._training_environment, self._evaluation_environment):
            if environment is not None and environment is not self.environment.id:
                environment.close()
        self._thread = self._ahead = None
        self._training_environment = self._evaluation_environment = None
        self.collector = self.replay = self.sampler = None

    @property
    def _trainer(self) -> pl.Trainer:
        assert self.trainer is not None, "a data module works inside a Trainer"
        return self.trainer

    @property
    def _learner(self) -> Learner:
        return cast(Learner, self._trainer.lightning_module)

    def _parts(self) -> tuple[Collector, ReplayBuffer, Sampler]:
        assert self.collector is not None, "setup comes first"
        assert self.replay is not None, "setup comes first"
        assert self.sampler is not None, "setup comes first"
        return self.collector, self.replay, self.sampler

    def _learn_from_rollouts(self, config: LambdaReturns) -> None:
        """Size the ring and the iteration for one rollout at a time."""
        if self.collection.overlap:
            raise ValueError(
                "overlap=True: lambda-returns need rows of the policy that learns from them; "
                "set overlap=False or sample from replay"
            )
        self._hold_one_rollout(config.rollout_length)
        self.updates_per_iteration = config.epochs * config.minibatches
        self.batch_size = max(1, self.env_steps_per_iteration // config.minibatches)
        most_warmup = 2 * self.environment.num_envs
        self.collection = dataclasses.replace(
            self.collection,
            warmup_env_steps=min(self.collection.warmup_env_steps, most_warmup),
        )

    def _learn_online(self, config: OnlineTransitions) -> None:
        """Size the ring and the iteration for an update after each transition."""
        if self.collection.overlap:
            raise ValueError(
                "overlap=True: online learning collects with what it has just learned; "
                "set overlap=False or sample from replay"
            )
        if self.replay_config.n_step != 1:
            raise ValueError(
                f"replay.n_step={self.replay_config.n_step}: online learning knows the next step "
                "only; set n_step=1 or sample from replay"
            )
        self._hold_one_rollout(config.rollout_length)
        self.updates_per_iteration = self.env_steps_per_iteration
        self.batch_size = 1
        self.collection = dataclasses.replace(self.collection, warmup_env_steps=0)

    def _hold_one_rollout(self, length: int) -> None:
        num_envs = self.environment.num_envs
        self.env_steps_per_iteration = length * num_envs
        # Up to every second row of an environment may hold a final observation; two more for
        # the warm-up's or the row before, and the frames that the oldest row is stacked with.
        most_times = 2 * length + 2 + self.environment.frame_stack
        capacity = most_times * num_envs
        self.replay_config = dataclasses.replace(self.replay_config, capacity=capacity)

    def _keep(self, rows: Rows) -> None:
        collector, replay, _ = self._parts()
        replay.extend(rows)
        for notify in self.after_collection:
            notify(collector.env_steps)

    def _collect(self) -> Callable[[], Rows]:
        """Return the next iteration's collection, to be done with the weights of this moment."""
        collector, _, _ = self._parts()
        until = self._target_env_steps + self.env_steps_per_iteration
        return partial(collector.collect, self._learner.behaviour_policy(), until)

    def _collect_ahead(self) -> Future[Rows]:
        """Start collecting the next iteration in the thread."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="collector")
        return self._thread.submit(self._collect())


class TrainStream:
    """The iterations of one epoch; sized, so that Lightning doesn't run one batch ahead."""

    def __init__(self, data: ReplayDataModule) -> None:
        self.data = data

    def __len__(self) -> int:
        return self.data.iterations_per_epoch

    def __iter__(self) -> Iterator[Iteration]:
        assert self.data.replay is not None
        if self.data.replay.num_rows == 0:
            self.data.warm_up()
        for _ in range(len(self)):
            yield self.data.next_iteration()


class EvaluationStream:
    """The episodes of one evaluation."""

    def __init__(self, data: ReplayDataModule, seed: int, episodes_per_env: int) -> None:
        self.data = data
        self.seed = seed
        self.episodes_per_env = episodes_per_env

    def __len__(self) -> int:
        return self.data.evaluation.num_envs * self.episodes_per_env

    def __iter__(self) -> Iterator[Episode]:
        return self.data.evaluation_episodes(self.seed, self.episodes_per_env)
