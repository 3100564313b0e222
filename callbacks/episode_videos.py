"""Videos of the best, the median and the worst episode of an evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities import rank_zero_warn

from lightning_dqn.callbacks.learner import dqn_of, replay_data_of
from lightning_dqn.callbacks.period import follows_evaluation, never_validated
from lightning_dqn.collecting.filming import Studio
from lightning_dqn.collecting.takes import Filmed, Footage, unrepeated
from lightning_dqn.data import ReplayDataModule
from lightning_dqn.dqn import DQN
from lightning_dqn.reporting.video import check_installed
from lightning_dqn.system.faults import first_line
from lightning_dqn.system.numbers import whole_number
from lightning_dqn.transitions import Episode


class EpisodeVideos(pl.Callback):
    """Films three episodes of every n-th epoch's validation, as its environment renders them.

    The evaluation is played a second time, with its own seed, so that learning stays the same bit
    for bit. Files are named by env step and return, and also logged to W&B if it is a logger. If
    the environment can't be rendered, or a file can't be written, a line says so and the run
    continues.

    Args:
        folder: of the files.
        every_n_epochs: film the validations of every n-th epoch of a fit.
        format: ``"mp4"``, or ``"gif"``, which needs only Pillow.
        max_frames: most frames of a video; longer episodes are thinned to every n-th frame, at
            their own speed as long as that makes 10 frames a second.
        width: of the video in pixels; None: as rendered, with small pictures enlarged.
    """

    logs_metrics = False  # that a checkpoint could be chosen by
    alone_because = "each of several ranks plays a part of an evaluation, which isn't played again"

    def __init__(
        self,
        folder: str | Path = "videos",
        *,
        every_n_epochs: int = 10,
        format: Literal["mp4", "gif"] = "mp4",
        max_frames: int = 300,
        width: int | None = None,
    ) -> None:
        if format not in ("mp4", "gif"):
            raise ValueError(f"format={format}: choose mp4 or gif")
        if width is not None and not 16 <= whole_number("width", width) <= 8192:
            raise ValueError(f"width={width}: from 16 to 8192, or null")
        self.folder = Path(folder)
        self.every_n_epochs = whole_number("every_n_epochs", every_n_epochs, least=1)
        self.format: Literal["mp4", "gif"] = format
        self.max_frames = whole_number("max_frames", max_frames, least=2)
        self.width = width
        self._episodes: list[Episode] = []
        self._is_off = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse a run that lacks the packages, and one that evaluates nothing to be filmed.

        Raises:
            ValueError: it names the extra to install.
        """
        check_installed(self.format, resizes=self.width is not None)
        self._data(trainer)
        dqn_of(self, pl_module)
        self._is_off = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say at once where there is nothing to be seen."""
        studio = self._studio(trainer)
        if studio is not None:
            studio.close()

    def unread(self, trainer: pl.Trainer, module: DQN) -> Iterator[tuple[str, str]]:
        """Yield what nothing reads in a run, see :meth:`ModelOperation.unread`."""
        yield from never_validated(trainer, self.every_n_epochs)

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget the episodes of the last evaluation."""
        self._episodes = []

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Note an episode; behind the last one film, before others act on what was evaluated."""
        self._episodes.append(batch)
        is_last = batch_idx + 1 == sum(trainer.num_val_batches)
        if not is_last or not follows_evaluation(trainer, self.every_n_epochs):
            return
        studio = self._studio(trainer)
        if studio is None:
            return
        module = dqn_of(self, pl_module)
        try:
            self._tell(trainer, module, self._film(trainer, module, studio))
        except Exception as error:  # whatever an environment may raise that is drawn
            rank_zero_warn(f"EpisodeVideos: no videos of this evaluation: {first_line(error)}")
        finally:
            studio.close()

    def _film(self, trainer: pl.Trainer, module: DQN, studio: Studio) -> list[Filmed]:
        data = self._data(trainer)
        evaluation = data.evaluation
        prefix = f"env_step_{module.env_steps:09d}_"
        return studio.film(
            module,
            self._episodes,
            Footage(self.folder, prefix, self.format, self.max_frames, self.width),
            seed=evaluation.episode_seed(data.seed, "validation"),
            episodes_per_env=evaluation.episodes_per_env,
            look_up=data.check_interrupts,
        )

    def _tell(self, trainer: pl.Trainer, module: DQN, videos: Sequence[Filmed]) -> None:
        for one in videos:
            if not one.is_repeated:
                rank_zero_warn(f"EpisodeVideos: {unrepeated(one)}")
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_metrics(_as_media(videos, module.env_steps), step=module.env_steps)

    def _studio(self, trainer: pl.Trainer) -> Studio | None:
        """Return what films; None, and once a line, where nothing can be seen."""
        data = self._data(trainer)
        if self._is_off:
            return None
        try:
            return Studio(data.environment, data.evaluation)
        except Exception as error:  # whatever an environment may raise that is made and drawn
            self._is_off = True
            rank_zero_warn(f"EpisodeVideos: there will be none: {first_line(error)}")
            return None

    def _data(self, trainer: pl.Trainer) -> ReplayDataModule:
        data = replay_data_of(trainer)
        if data is None:
            raise ValueError("EpisodeVideos needs a ReplayDataModule, whose evaluations it films")
        return data


def _as_media(videos: Sequence[Filmed], env_steps: int) -> Mapping[str, Any]:
    """Return a row for W&B, which takes files by their paths."""
    import wandb

    row: dict[str, Any] = {"time/env_steps": env_steps}
    for one in videos:
        caption = f"{one.which}: return {one.episode.episode_return:g} at {env_steps:,} env steps"
        row[f"videos/{one.which}"] = wandb.Video(str(one.path), caption=caption)
    return row
