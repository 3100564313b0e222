"""The replay DataModule: Lightning's batches are iterations of collecting and sampling."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pytorch_lightning as pl
import torch
from gymnasium.vector import VectorEnv
from pytorch_lightning.utilities.exceptions import SIGTERMException

from lightning_dqn.collecting.collector import Collector
from lightning_dqn.collecting.contract import Collection, Source, extra_columns_of
from lightning_dqn.collecting.evaluation import (
    EvaluationConfig,
    EvaluationRules,
    Evaluator,
    Observer,
    StepObserver,
)
from lightning_dqn.collecting.sharing import episodes_of_all
from lightning_dqn.collecting.source import CollectionConfig
from lightning_dqn.environments.factory import EnvironmentFactory, EnvironmentLike
from lightning_dqn.environments.spec import EnvironmentSpec, check_same
from lightning_dqn.experience import Experience, check_memory, is_evaluating, parts_of_memory
from lightning_dqn.extra_columns import INITIAL_PRIORITY
from lightning_dqn.replay.priorities import ReturnPriorities
from lightning_dqn.replay.reading import check_discount
from lightning_dqn.replay.ring import ReplayBuffer
from lightning_dqn.replay.samplers.sampler import (
    Pace,
    Sampler,
    Sampling,
    as_sampling,
    takes_initial_priorities,
)
from lightning_dqn.replay.samplers.uniform import UniformSampling
from lightning_dqn.replay.storage import ReplayConfig
from lightning_dqn.safekeeping.checkpoint_files import install
from lightning_dqn.safekeeping.rank_files import folder_of, share_files
from lightning_dqn.streams import EvaluationStream, TrainStream
from lightning_dqn.system.numbers import whole_number
from lightning_dqn.system.ranks import Ranks, can_be_shared
from lightning_dqn.system.seeding import seed_environments_generators, seed_of
from lightning_dqn.transitions import Episode, Iteration, Learner

_OF_COLLECTION = ("make", "overlap", "warmup_env_steps")
_PASS_IT_ITSELF = (
    "a dataloader of a ReplayDataModule works with its data module alone; pass that itself, as in "
    "trainer.fit(module, data)"
)


class ReplayDataModule(pl.LightningDataModule):
    """Collects experience with the module's policy and serves minibatches of it.

    One of Lightning's batches is one iteration: ``env_steps_per_iteration`` env steps, then
    ``updates_per_iteration`` minibatches [U, B, ...] for as many updates. An epoch is
    ``env_steps_per_epoch``; validation plays evaluation episodes at its end.

    With several ranks, as in ``Trainer(devices=2, strategy="ddp")``, all numbers are those of the
    whole run: each of N ranks has 1 / N of the environments, of the ring, of each minibatch and
    of the env steps, a seed of its own, and plays its share of each evaluation.

    Args:
        environment: a gymnasium id, a function that makes a ``gymnasium.Env``, a ``VectorEnv``
            in NEXT_STEP mode, or an :class:`EnvironmentFactory`.
        batch_size: B.
        updates_per_iteration: U.
        env_steps_per_iteration: env steps collected before them.
        env_steps_per_epoch: rounded up to whole iterations.
        replay: the ring, and what a transition is.
        sampler: which transitions are learned from: None for ``UniformSampling()``,
            :class:`PrioritizedSampling`, :class:`LambdaReturns`, :class:`OnlineTransitions`, or
            any :class:`lightning_dqn.replay.samplers.sampler.Sampling`, which may set capacity, U,
            B, ``env_steps_per_iteration`` and the warm-up itself.
        collection: where rows come from: warm-up, exploration, overlap.
        evaluation: environments and episodes of validation and test.
        seed: from which the seeds of each training environment, exploration, sampling and, if
            ``evaluation`` has no seed of its own, evaluation are derived.

    Attributes:
        evaluation_environment: what evaluation plays in.
        pace: the counts above, as set by the sampler.
        extra_columns: extra columns of the rows, as declared by the collection.
        after_collection: functions of the env steps so far, called after every collection,
            also during the warm-up; progress displays append to it.
        between_iterations: functions called when a run may be saved and ended: after learning
            from an iteration and before collecting the next one.
        while_busy: functions called often while it may not: in the warm-up and in evaluation.
        observers: functions called before each step of evaluation, see
            :func:`lightning_dqn.collecting.evaluation.play_episodes`.
        step_observers: functions called after each step of evaluation.
        evaluation_rules: how the newest evaluation was played; None: there was none.
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
        sampler: Sampling | None = None,
        collection: Collection | None = None,
        evaluation: EvaluationConfig | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.environment = EnvironmentFactory.of(environment)
        self.env_steps_per_epoch = whole_number("env_steps_per_epoch", env_steps_per_epoch, least=1)
        self.replay_config = replay or ReplayConfig()
        self.collection: Collection = collection or CollectionConfig()
        _check_kinds(self.replay_config, self.collection, evaluation)
        self.extra_columns = extra_columns_of(self.collection)
        self.evaluation = evaluation or EvaluationConfig()
        self.evaluation.check_apart(self.environment)
        self.evaluation_environment = self.evaluation.environments(self.environment)
        self.sampling = as_sampling(UniformSampling() if sampler is None else sampler)
        if INITIAL_PRIORITY in self.extra_columns and not takes_initial_priorities(self.sampling):
            raise ValueError(
                f"collection.initial_priorities=True: sampler={type(self.sampling).__name__} draws "
                "by no priorities; choose PrioritizedSampling() (data/sampler=prioritized), or set "
                "it to False"
            )
        self.pace = self.sampling.pace(
            Pace(
                num_envs=self.environment.num_envs,
                frame_stack=self.environment.frame_stack,
                n_step=self.replay_config.n_step,
                overlap=self.collection.overlap,
                capacity=self.replay_config.capacity,
                batch_size=whole_number("batch_size", batch_size, least=1),
                updates_per_iteration=whole_number(
                    "updates_per_iteration", updates_per_iteration, least=1
                ),
                env_steps_per_iteration=whole_number(
                    "env_steps_per_iteration", env_steps_per_iteration, least=1
                ),
                warmup_env_steps=self.collection.warmup_env_steps,
                sequence_length=self.replay_config.sequence_length,
            )
        )
        self.pace.check_capacity()
        self.replay_config = self.replay_config.with_capacity(self.pace.capacity)
        self.seed = whole_number("seed", seed)
        self.after_collection: list[Callable[[int], None]] = []
        self.between_iterations: list[Callable[[], None]] = []
        self.while_busy: list[Callable[[], None]] = []
        self.observers: list[Observer] = []
        self.step_observers: list[StepObserver] = []
        self._experience: Experience | None = None
        self._evaluator: Evaluator | None = None
        self.evaluation_rules: EvaluationRules | None = None
        self._restored: dict[str, Any] | None = None
        self._last_fit: dict[str, Any] | None = None
        self._priorities = ReturnPriorities(partial(getattr, self, "sampler"))

    @property
    def source(self) -> Source | None:
        """Where rows come from; None outside a fit."""
        return None if self._experience is None else self._experience.source

    @property
    def replay(self) -> ReplayBuffer | None:
        """The ring; None outside a fit."""
        return None if self._experience is None else self._experience.replay

    @property
    def sampler(self) -> Sampler | None:
        """What draws from the ring; None outside a fit."""
        return None if self._experience is None else self._experience.sampler

    @property
    def collector(self) -> Collector | None:
        """What steps the environments; None before a fit, or if rows come from elsewhere."""
        return getattr(self.source, "collector", None)

    def __repr__(self) -> str:
        """Return the environment's name and the sizes of collecting and learning."""
        pace = self.pace
        return (
            f"{type(self).__name__}({self.environment.name!r}, num_envs={pace.num_envs}, "
            f"batch_size={pace.batch_size}, updates_per_iteration={pace.updates_per_iteration}, "
            f"env_steps_per_iteration={pace.env_steps_per_iteration}, "
            f"capacity={pace.capacity})"
        )

    __str__ = __repr__  # Lightning's would ask for loaders, which are there in a fit alone

    @property
    def updates_per_iteration(self) -> int:
        """U."""
        return self.pace.updates_per_iteration

    @property
    def iterations_per_epoch(self) -> int:
        """Lightning's batches in an epoch."""
        return -(-self.env_steps_per_epoch // self.pace.env_steps_per_iteration)

    # --- Lightning's hooks

    def setup(self, stage: str) -> None:
        """Make the source of rows and the replay ring, if they are needed.

        Raises:
            ValueError: the module was made for another kind of environment.
        """
        ranks = self._ranks
        files = install(self._trainer)
        if ranks.are_several:
            share_files(self._trainer, ranks, files, type(self).__qualname__)
        self._check_belongs(stage)
        self._check_evaluation(ranks)
        if stage != "fit" or self._experience is not None:
            return
        check_discount(self.environment.spec, self.replay_config)
        parts = parts_of_memory(self._trainer, self.replay_config)
        self.check_memory(self._trainer.strategy.root_device, parts=parts)
        experience = self._experience = self._make_experience()
        if files is not None:
            experience.archive_large_ring(files, type(self).__qualname__)
        if experience.sampler.uses_priorities:
            self._priorities.join(self._trainer)
        if self._restored is not None:
            self.load_state_dict(self._restored)
            self._restored = None

    def train_dataloader(self) -> TrainStream:
        """Return the sized stream of iterations."""
        return TrainStream(self.iterations, self.iterations_per_epoch)

    def val_dataloader(self) -> EvaluationStream:
        """Return the sized stream of validation episodes, the same ones each time."""
        return self._evaluation_stream("validation", self.evaluation.episodes_per_env)

    def test_dataloader(self) -> EvaluationStream:
        """Return the sized stream of test episodes, which differ from validation's."""
        return self._evaluation_stream("test", self.evaluation.test_episodes_per_env)

    def transfer_batch_to_device(
        self, batch: Iteration | Episode, device: torch.device, dataloader_idx: int
    ) -> Iteration | Episode:
        """Move an iteration's minibatches to the device that learns."""
        if not isinstance(batch, (Iteration, Episode)):  # of a subclass's own loaders
            return super().transfer_batch_to_device(batch, device, dataloader_idx)
        if isinstance(batch, Episode) or batch.transitions.action.device == device:
            return batch
        return batch._replace(transitions=batch.transitions.each(lambda c: c.to(device)))

    def state_dict(self) -> dict[str, Any]:
        """Return all that collecting and sampling need to continue as if never interrupted.

        After a fit these are only counters and generators.
        """
        return self._last_fit or {} if self._experience is None else self._experience.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what :meth:`state_dict` returned, once the parts that it belongs to exist.

        Evaluating a checkpoint loads nothing: a fit that follows doesn't continue its run.

        Raises:
            ValueError: the rows are those of a ring of another size.
        """
        if not state_dict or is_evaluating(self.trainer):
            return
        if self._experience is None:
            self._restored = state_dict
            return
        checkpoint = Path(str(self._trainer.ckpt_path))
        folder = folder_of(checkpoint, self._ranks.rank)
        self._experience.load_state_dict(state_dict, folder)

    def teardown(self, stage: str) -> None:
        """Close the environments and end the collecting thread; counters are kept."""
        if stage == "fit" and self._experience is not None:
            self._last_fit = self._experience.counters()
        self.close()

    def on_exception(self, exception: BaseException) -> None:
        """Close the environments and end the collecting thread: no teardown follows."""
        self._last_fit = None
        self.close()

    # --- the two streams

    def iterations(self) -> Iterator[Iteration]:
        """Yield the iterations of one epoch, after a warm-up if the ring is empty."""
        self._refuse_alone()
        if self._ready().replay.num_rows == 0:
            self.warm_up()
        for _ in range(self.iterations_per_epoch):
            for act in self.between_iterations:
                act()
            yield self.next_iteration()

    def warm_up(self) -> None:
        """Fill the ring before learning; if the module has learned already, with its policy."""
        for env_steps in self._ready().warm_up(self._learner):
            self._tell_of_collection(env_steps)
            self.check_interrupts()

    def next_iteration(self) -> Iteration:
        """Collect, store and sample: one batch for the module."""
        return self._ready().next_iteration(self._learner, self._tell_of_collection)

    def evaluation_episodes(self, seed: int, episodes_per_env: int) -> Iterator[Episode]:
        """Play the episodes of one evaluation with the module as it is now.

        Each of several ranks plays a share, and gets the episodes of all ranks in the end.
        """
        self._refuse_alone()
        ranks = self._ranks
        if self._evaluator is None:
            self._evaluator = Evaluator(self.environment, self._evaluation_of(ranks))
        self.evaluation_rules = self._evaluator.rules
        episodes = self._evaluator.play(
            self._learner,
            seed=_seed_of(seed, ranks),
            episodes_per_env=episodes_per_env,
            observers=[self._look_on],
            step_observers=self.step_observers,
        )
        return iter(episodes_of_all(list(episodes), ranks)) if ranks.are_several else episodes

    # --- memory and closing

    def check_memory(self, device: torch.device | str = "cpu", *, parts: int = 1) -> None:
        """Refuse sizes that don't fit, before anything is allocated.

        Args:
            device: where the module learns.
            parts: into which ring and minibatches are divided, one per memory: of each machine, or
                of each device if devices have a ring each.

        Raises:
            ValueError: naming what is too large, the bytes needed and free.
        """
        directory = self.trainer.default_root_dir if self.trainer is not None else None
        pace = self.pace.share(Ranks(parts))
        config = self.replay_config.with_capacity(pace.capacity)
        spec, sampling = self.environment.spec, self.sampling
        check_memory(
            spec,
            config,
            sampling,
            pace,
            device=device,
            directory=directory,
            extra_columns=self.extra_columns,
        )

    def close(self) -> None:
        """Close all that this data module made, even if closing a part fails; may be repeated."""
        parts = (self._experience, self._evaluator)
        self._experience = self._evaluator = None
        if self.trainer is not None:
            self._priorities.leave(self.trainer)
        with ExitStack() as stack:
            for part in parts:
                if part is not None:
                    stack.callback(part.close)

    @property
    def _trainer(self) -> pl.Trainer:
        assert self.trainer is not None, "a data module works inside a Trainer"
        return self.trainer

    @property
    def _ranks(self) -> Ranks:
        return Ranks.of(self._trainer)

    @property
    def _learner(self) -> Learner:
        return cast(Learner, self._trainer.lightning_module)

    def _ready(self) -> Experience:
        assert self._experience is not None, "setup comes first"
        return self._experience

    def _make_experience(self) -> Experience:
        ranks = self._ranks
        pace, seed = self.pace.share(ranks), _seed_of(self.seed, ranks)
        if not ranks.is_first:
            seed_environments_generators(seed)
        source = self.collection.make(
            self.environment.shared(ranks),
            warmup_env_steps=pace.warmup_env_steps,
            env_steps_per_iteration=pace.env_steps_per_iteration,
            seed=seed,
        )
        make_ring = partial(
            ReplayBuffer,
            self.environment.spec,
            config=self.replay_config.with_capacity(pace.capacity),
            device=self._trainer.strategy.root_device,
            directory=self._trainer.default_root_dir,
            seed=seed,
            extra_columns=self.extra_columns,
        )
        return Experience(source, make_ring, self.sampling, pace, ranks)

    def _evaluation_of(self, ranks: Ranks) -> EvaluationConfig:
        return replace(self.evaluation, num_envs=ranks.share(self.evaluation.num_envs))

    def check_ranks(self, ranks: Ranks) -> None:
        """Refuse what can't be divided among several ranks.

        Raises:
            ValueError: it names what can't, and what to choose instead.
        """
        if not ranks.are_several:
            return
        if not can_be_shared(self.sampling):
            raise ValueError(
                f"sampler={type(self.sampling).__name__}: learns from one stream of transitions, "
                "which several ranks can't part; choose UniformSampling() or "
                "PrioritizedSampling(), or one device"
            )
        if not can_be_shared(self.collection):
            raise ValueError(
                f"collection={type(self.collection).__name__}: several ranks can't part its rows; "
                "choose CollectionConfig(), or one device"
            )
        self.environment.shared(ranks)
        self.pace.share(ranks).check_capacity()
        self._check_evaluation(ranks)

    def _check_evaluation(self, ranks: Ranks) -> None:
        if self.evaluation.num_envs < ranks.size:
            raise ValueError(
                f"evaluation.num_envs={self.evaluation.num_envs}: each of {ranks.size} ranks plays "
                f"in one at least; set evaluation.num_envs={ranks.size}"
            )
        given, share = self.evaluation_environment.id, ranks.share(self.evaluation.num_envs)
        if ranks.are_several and isinstance(given, VectorEnv) and given.num_envs != share:
            raise ValueError(
                f"evaluation.num_envs={self.evaluation.num_envs}: each of {ranks.size} ranks plays "
                f"in a VectorEnv with {given.num_envs} environments; set evaluation.num_envs="
                f"{ranks.size * given.num_envs}"
            )

    def _evaluation_stream(
        self, stage: Literal["validation", "test"], episodes_per_env: int
    ) -> EvaluationStream:
        seed = self.evaluation.episode_seed(self.seed, stage)
        episodes = partial(self.evaluation_episodes, seed, episodes_per_env)
        return EvaluationStream(episodes, self.evaluation.num_envs * episodes_per_env)

    def _refuse_alone(self) -> None:
        if self.trainer is None:
            raise ValueError(_PASS_IT_ITSELF)

    def _check_belongs(self, stage: str) -> None:
        """Refuse a module that was made for another kind of environment than those here."""
        learner = self._learner
        needed = "behaviour_policy" if stage == "fit" else "act"
        if stage != "predict" and not hasattr(learner, needed):
            raise ValueError(
                f"{type(learner).__name__}: has no {needed}() to play by; a ReplayDataModule "
                "serves a DQN, as in trainer.fit(DQN(environment), ReplayDataModule(environment))"
            )
        spec = getattr(learner, "spec", None)
        if not isinstance(spec, EnvironmentSpec):
            return
        if stage == "fit":
            check_same(spec, self.environment.spec, f"environment {self.environment.name}")
        self.check_evaluated(spec)

    def check_evaluated(self, spec: EnvironmentSpec) -> None:
        """Refuse evaluation in another kind of environment than a module was made for.

        Args:
            spec: of the module.

        Raises:
            ValueError: naming the field that differs.
        """
        evaluated = self.evaluation_environment
        check_same(spec, evaluated.spec, f"environment {evaluated.name} of evaluation")

    def _look_on(self, observation: np.ndarray, counts: np.ndarray) -> None:
        """Look on before each step of evaluation, with all who do by then."""
        self.check_interrupts()
        for observe in self.observers:
            observe(observation, counts)

    def check_interrupts(self) -> None:
        """End a warm-up or an evaluation that is to end, by whatever ``while_busy`` raises.

        Raises:
            SIGTERMException: Lightning has noted one, which it looks at between batches alone.
        """
        for look in self.while_busy:
            look()
        if self._trainer.received_sigterm and not self._ranks.are_several:
            raise SIGTERMException

    def _tell_of_collection(self, env_steps: int) -> None:
        for notify in self.after_collection:
            notify(env_steps)


def _seed_of(seed: int, ranks: Ranks) -> int:
    """Return the seed of one of several ranks; the first has the run's own."""
    return seed if ranks.is_first else seed_of(seed, "rank", ranks.rank)


def _check_kinds(replay: Any, collection: Any, evaluation: Any) -> None:
    """Refuse what was handed over in another's place."""
    for name, value, kind in (
        ("replay", replay, ReplayConfig),
        ("evaluation", evaluation, EvaluationConfig),
    ):
        if value is not None and not isinstance(value, kind):
            raise ValueError(f"{name}={value!r}: expected a {kind.__name__}")
    lacks = [name for name in _OF_COLLECTION if not hasattr(collection, name)]
    if lacks:
        raise ValueError(
            f"collection={collection!r}: has no {lacks[0]}; expected a CollectionConfig, or a "
            "lightning_dqn.collecting.contract.Collection"
        )
