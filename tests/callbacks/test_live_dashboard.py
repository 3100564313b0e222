"""What the dashboard does to a run, on no terminal: changes by hand, evaluations, conditions."""

from __future__ import annotations

import errno
import json
import os
import re
from unittest.mock import Mock

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint, TQDMProgressBar
from pytorch_lightning.loggers import Logger
from support import resumed_runs

from lightning_dqn import EvaluationConfig
from lightning_dqn.callbacks import EMATargetNetwork, LiveDashboard
from lightning_dqn.callbacks import live_dashboard as module_of_it
from lightning_dqn.live.choice import Request
from lightning_dqn.live.state import State
from lightning_dqn.live.tuning import EPSILON, LEARNING_RATE
from lightning_dqn.reporting.csv_logger import csv_logger
from lightning_dqn.safekeeping import checkpoint_files


class Desk:
    """Stands for the thread that draws: requests come as they are told, nothing is shown."""

    width = 120
    compares_seeds = False
    failure = None

    def __init__(self, state, *, look, end, colour):
        import threading
        from collections import deque

        self.state, self.look, self.end = state, look, end
        self.lock = threading.RLock()
        self.requests = deque()
        self.wants_glance = True
        self.said = []
        self.is_open = False

    def open(self):
        self.is_open = True

    def close(self):
        self.is_open = False

    def say(self, message):
        self.said.append(message)


class Press(pl.Callback):
    """Sends requests after an iteration."""

    def __init__(self, dashboard, requests):
        self.dashboard, self.requests = dashboard, requests
        self.desk = None

    def on_train_batch_end(self, trainer, *args):
        self.desk = self.dashboard._desk
        self.desk.requests.extend(self.requests.get(trainer.global_step, ()))
        self.desk.wants_glance = True
        self.desk.look()


@pytest.fixture
def fit(make_module, make_data, make_trainer, tmp_path, monkeypatch):
    """A function that fits with a dashboard and the requests after so many updates."""
    monkeypatch.setattr(module_of_it, "Desk", Desk)
    monkeypatch.setattr(module_of_it, "why_not", lambda environment: "")

    def run(
        requests=None,
        *,
        dashboard=None,
        checkpoint=None,
        folder="run",
        before=(),
        after=(),
        **arguments,
    ):
        dashboard = dashboard or LiveDashboard(show=True)
        press = Press(dashboard, requests or {})
        module = make_module()
        data = make_data(
            env_steps_per_epoch=48, evaluation=EvaluationConfig(num_envs=1, max_episode_steps=20)
        )
        trainer = make_trainer(
            callbacks=[*before, dashboard, EMATargetNetwork(tau=0.1), press, *after],
            default_root_dir=tmp_path / folder,
            **{"logger": csv_logger(tmp_path / folder), "log_every_n_steps": 1, **arguments},
        )
        trainer.fit(module, data, ckpt_path=checkpoint)
        return dashboard, press.desk, module, trainer

    return run


def test_looking_on_changes_nothing_that_is_learned(fit, make_module):
    weights = []
    for show in (True, False):
        monkeys = {} if show else None
        dashboard = LiveDashboard(show=show)
        if show:
            *_, module, _ = fit(monkeys, dashboard=dashboard, folder="shown")
        else:
            *_, module, _ = fit_without(fit, dashboard)
        weights.append([p.clone() for p in module.agent.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))


def fit_without(fit, dashboard):
    """Fit with a dashboard that isn't shown."""
    original = Press.on_train_batch_end
    Press.on_train_batch_end = lambda self, trainer, *args: None
    try:
        return fit(dashboard=dashboard, folder="unseen")
    finally:
        Press.on_train_batch_end = original


def test_it_sees_rows_the_environment_and_how_far_the_run_is(fit, capsys):
    _, desk, module, trainer = fit()
    state: State = desk.state
    assert state.history.series["train/loss"].num_values == 6
    assert len(state.glance.q_values) == 2
    assert len(state.glance.picture) == 4
    assert state.total_env_steps == module.env_steps
    assert state.phase == "training"
    assert 0 < state.fill < 1
    assert not desk.is_open
    assert trainer.loggers[0] is trainer.logger
    assert len(trainer.loggers) == 1
    assert "train/loss" in capsys.readouterr().out
    assert trainer.datamodule.between_iterations == []
    assert trainer.datamodule.while_busy == []


def test_a_look_that_fails_is_told_and_ends_no_run(fit, monkeypatch):
    looks = []

    def glance(*args, **kwargs):
        looks.append(1)
        raise TypeError("object of type 'int' has no len()\nand more")

    monkeypatch.setattr(module_of_it, "glance", glance)
    _, desk, module, _ = fit()
    assert module.updates == 24
    assert (len(looks), desk.state.glance) == (1, None)
    assert desk.state.glance_reason == "it can't be looked at: object of type 'int' has no len()"


def test_save_writes_a_checkpoint_from_which_a_run_goes_on(fit, tmp_path):
    fit({4: [Request("save")]})
    [path] = (tmp_path / "run" / "checkpoints").glob("by_key_*.ckpt")
    *_, module, _ = fit(checkpoint=path, folder="again")
    assert module.updates == 24


@pytest.mark.filterwarnings("ignore:.*the checkpoint couldn't be written")
def test_a_save_that_fails_is_told_as_one(fit, tmp_path, monkeypatch):
    full = Mock(side_effect=OSError(errno.ENOSPC, "No space left on device"))
    monkeypatch.setattr(checkpoint_files, "_write", full)
    _, desk, *_ = fit({4: [Request("save")]})
    [said] = desk.said
    assert re.fullmatch(r"by_key_env_step_\d+\.ckpt couldn't be saved", said)


def test_a_run_that_goes_on_shows_its_history_as_one_that_was_never_ended(fit, tmp_path):
    _, whole, *_ = fit({4: [Request("save")]})
    [path] = (tmp_path / "run" / "checkpoints").glob("by_key_*.ckpt")
    _, again, *_ = fit(checkpoint=path)
    told = [desk.state.history.series["train/loss"] for desk in (whole, again)]
    assert told[1].whole() == told[0].whole()
    assert told[1].recent() == told[0].recent()
    assert told[1].mean == pytest.approx(told[0].mean)


def test_a_new_run_in_a_folder_shows_no_history_of_the_one_before(fit):
    fit()
    _, desk, *_ = fit()
    assert desk.state.history.series["train/loss"].num_values == 6


def test_an_evaluation_follows_the_next_batch_and_no_other(fit, tmp_path):
    _, desk, _, trainer = fit(
        {4: [Request("evaluate")]}, limit_val_batches=1.0, check_val_every_n_epoch=5, max_epochs=2
    )
    rows = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    column = rows[0].split(",").index("eval/episode_return")
    assert sum(bool(row.split(",")[column]) for row in rows[1:]) == 1
    assert desk.said == ["evaluation follows"]
    assert trainer.check_val_every_n_epoch == 5


@pytest.mark.filterwarnings("ignore:.*could not find the monitored key")
@pytest.mark.parametrize("at_epoch_end", [False, True])
def test_nothing_is_decided_by_an_evaluation_that_a_key_asks_for(fit, tmp_path, at_epoch_end):
    """Neither at its end nor at that of its epoch, which has no evaluation of its own."""

    def decided(requests, folder):
        by = {"monitor": "eval/episode_return", "mode": "max"}
        best = ModelCheckpoint(tmp_path / folder, save_on_train_epoch_end=at_epoch_end, **by)
        when = {"check_on_train_epoch_end": at_epoch_end, "strict": False}
        stopping = EarlyStopping(patience=2, **when, **by)
        seen = Seen()
        trainer = fit(
            requests,
            folder=folder,
            before=[stopping, seen],
            after=[best],
            max_epochs=6,
            limit_val_batches=1.0,
            check_val_every_n_epoch=2,
            enable_checkpointing=True,
        )[-1]
        about = {key: value for key, value in best.state_dict().items() if "path" not in key}
        about = {**about, "dirpath": "", "best_k_models": [*best.best_k_models.values()]}
        return (about, stopping.state_dict(), trainer.current_epoch, seen.metrics), seen.num

    # After the iterations 2, 3 and 6, the last one of an epoch without an evaluation of its own.
    pressed = {one: [Request("evaluate")] for one in (1, 2, 5)}
    alone, num_alone = decided({}, "alone")
    watched, num_watched = decided(pressed, "watched")
    assert num_watched == num_alone + len(pressed)
    assert watched == alone


class Seen(pl.Callback):
    """Counts evaluations, and notes what a callback sees at the end of each epoch."""

    def __init__(self):
        self.num, self.metrics = 0, []

    def on_validation_end(self, trainer, *args):
        self.num += 1

    def on_train_epoch_end(self, trainer, *args):
        self.metrics.append(trainer.callback_metrics.get("eval/episode_return"))


@pytest.mark.parametrize("stop", [{"evaluation": 1}, {"iteration": 1}])
def test_an_evaluation_that_a_signal_ends_is_played_where_the_run_goes_on(
    make_module, make_data, tmp_path, stop
):
    class Ask(pl.Callback):
        def on_train_batch_end(self, trainer, *args):
            if trainer.global_step == 1:
                self.dashboard._evaluation.ask(trainer)

    def make():
        ask = Ask()
        ask.dashboard = LiveDashboard(show=False)
        short = EvaluationConfig(num_envs=1, max_episode_steps=20)
        data = make_data(env_steps_per_epoch=48, evaluation=short, updates_per_iteration=1)
        return make_module(), data, [ask, ask.dashboard, EMATargetNetwork(tau=0.1)]

    def evaluations(outcome):
        return [row for row in outcome.rows if "eval/episode_return" in row[1]]

    whole = resumed_runs.fit(make, tmp_path / "whole", epochs=1, seed=0)
    stopped = resumed_runs.fit(make, tmp_path / "stopped", epochs=1, seed=0, **stop)
    again = resumed_runs.fit(make, tmp_path / "stopped", epochs=1, seed=1, resume=True)
    assert stopped.is_stopped
    assert len(evaluations(whole)) == 2
    assert evaluations(stopped) + evaluations(again) == evaluations(whole)


def test_where_there_is_no_evaluation_a_key_says_so(fit):
    _, desk, *_ = fit({4: [Request("evaluate")]})
    assert desk.said == ["nothing to evaluate by"]


def test_a_learning_rate_is_scaled_and_logged_and_marks_the_run(fit, tmp_path):
    dashboard, _, _, trainer = fit({4: [Request("change", LEARNING_RATE, -1)]})
    rate = trainer.optimizers[0].param_groups[0]["lr"]
    [change] = dashboard.tuning.changes
    assert change.name == LEARNING_RATE
    assert change.value == pytest.approx(rate)
    [told] = json.loads((tmp_path / "run" / "changed_by_hand.json").read_text())
    assert told["name"] == LEARNING_RATE
    rows = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    column = rows[0].split(",").index("train/learning_rate")
    rates = [float(row.split(",")[column]) for row in rows[1:]]
    assert rates[0] == pytest.approx(1.25 * rate)
    assert rates[-1] == pytest.approx(rate)


class Tagged(Logger):
    """A logger that keeps a run's tags, as W&B's does."""

    name, version = "tagged", ""

    def __init__(self):
        super().__init__()
        self.tags = []

    def tag(self, label):
        self.tags.append(label)

    def log_metrics(self, metrics, step=None):
        pass

    def log_hyperparams(self, *args, **kwargs):
        pass


def test_a_change_tags_the_run_in_wandb_and_again_where_the_run_goes_on(fit, tmp_path):
    fit(logger=(logger := Tagged()))
    assert logger.tags == []
    fit({4: [Request("change", LEARNING_RATE, -1), Request("save")]}, logger=logger)
    assert logger.tags == ["changed-by-hand"]
    [path] = (tmp_path / "run" / "checkpoints").glob("by_key_*.ckpt")
    fit(checkpoint=path, logger=(again := Tagged()))
    assert again.tags == ["changed-by-hand"]


def test_epsilon_is_moved_and_stays_a_probability(fit):
    dashboard, *_ = fit({4: [Request("change", EPSILON, 1)] * 3})
    assert dashboard.tuning.changes[-1].value == 1  # it was all but that
    assert 0 < dashboard.tuning.epsilon_shift < 0.01
    dashboard, *_ = fit({4: [Request("change", EPSILON, -1)] * 3})
    assert dashboard.tuning.epsilon_shift == pytest.approx(-0.03)
    assert len(dashboard.tuning.changes) == 1


def test_a_resumed_run_keeps_what_was_changed_and_where_nothing_is_shown_too(fit, tmp_path):
    fit({4: [Request("change", EPSILON, -1), Request("save")]})
    [path] = (tmp_path / "run" / "checkpoints").glob("by_key_*.ckpt")
    seen = []

    class Look(pl.Callback):
        def on_train_batch_end(self, trainer, *args):
            seen.append(trainer.datamodule.collector.actor.epsilon_shift)

    dashboard = LiveDashboard(show=False)
    original = Press.on_train_batch_end
    Press.on_train_batch_end = lambda self, trainer, *args: Look().on_train_batch_end(trainer)
    try:
        fit(checkpoint=path, dashboard=dashboard)
    finally:
        Press.on_train_batch_end = original
    assert dashboard.tuning.epsilon_shift == pytest.approx(-0.01)
    assert set(seen) == {dashboard.tuning.epsilon_shift}
    assert (tmp_path / "run" / "changed_by_hand.json").is_file()


def test_a_new_run_in_a_folder_is_not_marked_by_the_one_before(fit, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "changed_by_hand.json").write_text("[]")
    fit()
    assert not (tmp_path / "run" / "changed_by_hand.json").exists()


def test_a_checkpoint_of_an_unchanged_run_holds_nothing_of_it():
    assert LiveDashboard().state_dict() == {}


def test_it_is_closed_where_the_run_fails(fit, monkeypatch):
    dashboard = LiveDashboard(show=True)
    desks = []
    original = Press.on_train_batch_end

    def fail(self, trainer, *args):
        original(self, trainer, *args)
        desks.append(self.desk)
        raise RuntimeError("in its midst")

    monkeypatch.setattr(Press, "on_train_batch_end", fail)
    with pytest.raises(RuntimeError, match="in its midst"):
        fit(dashboard=dashboard)
    assert not desks[0].is_open


def test_show_is_auto_true_or_false():
    with pytest.raises(ValueError, match=r"show='always': choose auto, true or false"):
        LiveDashboard(show="always")


def test_true_refuses_where_there_is_no_terminal(make_module, make_data, make_trainer, tmp_path):
    trainer = make_trainer(callbacks=[LiveDashboard(show=True)], default_root_dir=tmp_path)
    if os.isatty(1):
        pytest.skip("standard output is a terminal")
    with pytest.raises(ValueError, match="standard output is no terminal"):
        trainer.fit(make_module(), make_data())


def test_a_bar_of_another_rests_while_the_dashboard_is_up(fit):
    class Bar(TQDMProgressBar):
        seen = ()

        def on_train_batch_end(self, *args, **kwargs):
            super().on_train_batch_end(*args, **kwargs)
            self.seen += (self.is_enabled,)

    bar = Bar()
    fit(before=[bar], enable_progress_bar=True)
    assert bar.seen == (False,) * 6
    assert bar.is_enabled


def test_auto_shows_nothing_without_a_progress_bar(fit, monkeypatch):
    monkeypatch.setattr(Press, "on_train_batch_end", lambda self, trainer, *args: None)
    dashboard, *_ = fit(dashboard=LiveDashboard())
    assert dashboard._desk is None
