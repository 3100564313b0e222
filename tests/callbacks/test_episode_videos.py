"""EpisodeVideos: when it films, where videos go, and that learning knows nothing of it."""

from __future__ import annotations

import csv
import warnings
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from support.gif_frames import times_shown
from support.resumed_runs import Parts, differences, differences_of_broken_run, fit
from support.short_runs import small_config, small_run
from support.shown_env import ShownEnv, UndrawnEnv, UnrepeatableEnv
from support.wandb_records import history, read_records

from lightning_dqn import DQN, CollectionConfig, EvaluationConfig, ReplayDataModule
from lightning_dqn.callbacks import EMATargetNetwork, EpisodeVideos
from lightning_dqn.reporting.wandb_logger import WandbLogger
from lightning_dqn.runs.experiment import prepare, rehearse
from lightning_dqn.safekeeping.signals import Stopped


def parts(environment: Any = ShownEnv, callbacks: Any = ()) -> Parts:
    torch.manual_seed(0)
    data = ReplayDataModule(
        environment,
        batch_size=4,
        updates_per_iteration=2,
        env_steps_per_iteration=8,
        env_steps_per_epoch=24,
        collection=CollectionConfig(warmup_env_steps=16),
        evaluation=EvaluationConfig(num_envs=3),
    )
    module = DQN(environment, network=[{"Linear": 8}, "ReLU"], compile=False)
    return module, data, [EMATargetNetwork(tau=0.1), *callbacks]


def fitted(make_trainer: Any, environment: Any = ShownEnv, *, epochs: int = 1, **how: Any) -> Any:
    module, data, callbacks = parts(environment, [EpisodeVideos(format="gif", **how)])
    trainer = make_trainer(callbacks=callbacks, max_epochs=epochs, limit_val_batches=1.0)
    trainer.fit(module, data)
    return trainer


def test_three_videos_of_every_nth_validation_are_named_by_env_step_and_return(
    make_trainer, tmp_path
):
    trainer = fitted(make_trainer, epochs=4, folder=tmp_path / "videos", every_n_epochs=2)
    found = sorted((tmp_path / "videos").iterdir())
    steps = [path.name.split("_")[2] for path in found]
    assert len(found) == 6
    assert steps == [steps[0]] * 3 + [steps[3]] * 3
    assert int(steps[3]) == trainer.lightning_module.env_steps
    kinds = [path.name.split("_")[3] for path in found]
    assert kinds == ["best", "median", "worst"] * 2
    for path in found:
        shown = times_shown(path)
        assert shown == [*range(len(shown))]


def test_the_best_video_is_of_the_best_return_of_the_evaluation(make_trainer, tmp_path):
    returns: list[float] = []

    class Seen(EpisodeVideos):
        def on_validation_batch_end(self, trainer: Any, module: Any, out: Any, batch: Any, *i: Any):
            super().on_validation_batch_end(trainer, module, out, batch, *i)
            returns.append(batch.episode_return)

    module, data, callbacks = parts(callbacks=[Seen(tmp_path, every_n_epochs=1, format="gif")])
    make_trainer(callbacks=callbacks, limit_val_batches=1.0).fit(module, data)
    told = {path.name.split("_")[3]: path.stem.split("_")[-1] for path in tmp_path.iterdir()}
    worst, median, best = (f"{value:.6g}" for value in sorted(returns))
    assert told == {"best": best, "median": median, "worst": worst}


def test_it_films_before_another_callback_acts_on_the_evaluation(make_trainer, tmp_path):
    class Decides(pl.Callback):
        """Takes the second action in an evaluation, and the first one when that is over."""

        def on_validation_start(self, trainer: Any, module: Any) -> None:
            self._decide(module, [0.0, 1.0])

        def on_validation_epoch_end(self, trainer: Any, module: Any) -> None:
            self._decide(module, [1.0, 0.0])

        def _decide(self, module: Any, bias: list[float]) -> None:
            *_, weight, last = module.q_network.parameters()
            weight.data.zero_()
            last.data[:] = torch.tensor(bias)

    filming = EpisodeVideos(tmp_path, every_n_epochs=1, format="gif")
    module, data, callbacks = parts(callbacks=[Decides(), filming])
    make_trainer(callbacks=callbacks, limit_val_batches=1.0).fit(module, data)
    assert not [*tmp_path.glob("*unrepeated*")]
    assert len([*tmp_path.iterdir()]) == 3


def test_a_run_learns_the_same_with_and_without_bit_for_bit(tmp_path):
    def filmed() -> Parts:
        return parts(callbacks=[EpisodeVideos(tmp_path / "v", every_n_epochs=1, format="gif")])

    one = fit(filmed, tmp_path / "one", epochs=3, seed=3)
    other = fit(parts, tmp_path / "other", epochs=3, seed=3)
    assert len([*(tmp_path / "v").iterdir()]) == 9
    assert differences([one.checkpoint, one.rows], [other.checkpoint, other.rows]) == []


@pytest.mark.parametrize("at", [{"iteration": 5}, {"evaluation": 2}], ids=str)
def test_a_run_that_is_continued_comes_to_the_same(at, tmp_path):
    def filmed() -> Parts:
        return parts(callbacks=[EpisodeVideos(tmp_path / "v", every_n_epochs=1, format="gif")])

    assert differences_of_broken_run(filmed, tmp_path, epochs=3, **at) == []


def test_a_signal_is_heard_while_it_films_and_the_evaluation_comes_again(tmp_path):
    class Signals(EpisodeVideos):
        """Sends a signal when the second evaluation is filmed, in the first of two fits."""

        is_sent = was_ended = False

        def _film(self, trainer: Any, module: Any, studio: Any) -> Any:
            is_broken = "broken" in str(trainer.default_root_dir)
            if is_broken and trainer.current_epoch == 1 and not Signals.is_sent:
                Signals.is_sent = True
                [stop] = [c for c in trainer.callbacks if type(c).__name__ == "SafeStop"]
                stop.listener.number = 15
            try:
                return super()._film(trainer, module, studio)
            except Stopped:
                Signals.was_ended = True
                raise

    def filmed() -> Parts:
        return parts(callbacks=[Signals(tmp_path / "v", every_n_epochs=1, format="gif")])

    assert differences_of_broken_run(filmed, tmp_path, epochs=3) == []
    assert Signals.was_ended, "before all was filmed"
    assert not [path for path in (tmp_path / "v").iterdir() if path.name.startswith(".")]


def test_wandb_gets_the_files_with_return_and_env_step(make_trainer, tmp_path, monkeypatch):
    import wandb

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB__DISABLE_STATS", "true")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    logger = WandbLogger(save_dir=tmp_path, offline=True)
    videos = EpisodeVideos(tmp_path / "v", every_n_epochs=1, format="gif")
    module, data, callbacks = parts(callbacks=[videos])
    how = {"limit_val_batches": 1.0, "logger": logger, "log_every_n_steps": 1}
    make_trainer(callbacks=callbacks, **how).fit(module, data)
    folder = Path(logger.experiment.dir).parent
    logger.experiment.finish()
    wandb.teardown()
    [row] = [one for one in history(read_records(folder)) if any("videos/" in key for key in one)]
    assert row["time/env_steps"] == module.env_steps
    for which in ("best", "median", "worst"):
        [file] = (tmp_path / "v").glob(f"*_{which}_*")
        found = {name: row[f"videos/{which}/{name}"] for name in ("_type", "path", "caption")}
        assert found["_type"] == "video-file"
        assert (folder / "files" / found["path"]).read_bytes() == file.read_bytes()
        value = file.stem.split("_")[-1]
        assert found["caption"] == f"{which}: return {value} at {module.env_steps} env steps"


def test_an_environment_that_can_not_be_drawn_is_told_once_and_trains(make_trainer, tmp_path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer = fitted(make_trainer, UndrawnEnv, epochs=2, folder=tmp_path, every_n_epochs=1)
    told = [str(one.message) for one in caught if "EpisodeVideos" in str(one.message)]
    assert [one.splitlines() for one in told] == [[told[0]]]
    assert told[0].startswith("EpisodeVideos: there will be none: UndrawnEnv can't be shown: ")
    assert trainer.lightning_module.updates > 0
    assert list(tmp_path.iterdir()) == []


def test_an_episode_that_is_not_repeated_is_told_and_shown_as_it_was(make_trainer, tmp_path):
    with pytest.warns(UserWarning, match="EpisodeVideos: .*: the evaluation counted return"):
        fitted(make_trainer, UnrepeatableEnv, folder=tmp_path, every_n_epochs=1)
    assert all("_unrepeated_return_" in path.name for path in tmp_path.iterdir())


def test_a_file_that_can_not_be_written_ends_nothing(make_trainer, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.warns(UserWarning, match="EpisodeVideos: no videos of this evaluation: .*taken"):
        fitted(make_trainer, folder=tmp_path / "taken", every_n_epochs=1)


def test_missing_packages_are_told_before_the_run_begins(tmp_path, monkeypatch):
    experiment = prepare(small_config(tmp_path, "+callbacks/videos=default"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"^callbacks\.videos: mp4: .* 'lightning-dqn\[video\]'"):
        rehearse(experiment)


def test_the_word_in_the_configuration_films_into_the_runs_folder(tmp_path):
    pytest.importorskip("pygame")
    pytest.importorskip("imageio_ffmpeg")
    short = ("callbacks.videos.every_n_epochs=2", "callbacks.videos.max_frames=20")
    small_run(tmp_path / "run", "+callbacks/videos=default", *short)
    found = sorted(path.name.split("_return")[0] for path in (tmp_path / "run/videos").iterdir())
    steps = _env_steps(tmp_path / "run")
    assert found == [f"env_step_{steps:09d}_best", f"env_step_{steps:09d}_worst"]


def _env_steps(folder: Path) -> int:
    with (folder / "metrics.csv").open() as file:
        return max(int(float(row["time/env_steps"])) for row in csv.DictReader(file))


@pytest.mark.parametrize(
    "wrong",
    [{"every_n_epochs": 0}, {"format": "avi"}, {"max_frames": 1}, {"width": 5}],
    ids=str,
)
def test_wrong_arguments_are_refused(wrong):
    [(name, value)] = wrong.items()
    with pytest.raises(ValueError, match=rf"^{name}={value}: "):
        EpisodeVideos(**wrong)


def test_it_needs_a_data_module_whose_evaluations_it_films(make_trainer, make_module):
    with pytest.raises(ValueError, match="EpisodeVideos needs a ReplayDataModule"):
        EpisodeVideos(format="gif").setup(make_trainer(), make_module(), "fit")
