"""What is said and refused before the first job of a command line begins."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from lightning_dqn.runs.budget import Progress
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.compose import Composer, without_hydra
from lightning_dqn.runs.jobs_check import check_jobs

CPU = "trainer.accelerator=cpu"


def noted(*arguments: str) -> list[str]:
    """Return the notes of a command line."""
    with Composer([CPU, *arguments]) as composer:
        check_jobs(composer)
        return composer.notes


def sweep(*arguments: str) -> list[str]:
    """Return the notes of a sweep."""
    return noted("-m", *arguments)


IN_VAIN = [
    ("algorithm=noisy_dqn data.collection.epsilon.end=0.1", "noisy layers explore instead, both"),
    ("data.collection.random_actions=false data.collection.epsilon=0.1", "random_actions=false"),
    ("algorithm=pqn callbacks.target_network.tau=0.1", "module.target.slow_copy=false"),
    ("algorithm=pqn callbacks/target_network=hard", "module.target.slow_copy=false"),
    ("algorithm=pqn module.target.slow_copy=true", "LambdaReturns has its targets from the net"),
    ("algorithm=pqn data.batch_size=64", "LambdaReturns sets it to 16"),
    ("algorithm=pqn data.replay.n_step=3", "LambdaReturns has targets of its own"),
    ("+callbacks/shrink_and_perturb=default", "it acts after 40,000 updates, and the run has 6,"),
    (
        "+callbacks/average_network=swa callbacks.average_network.start=50_000",
        "it acts after 50,000 updates, and the run has 6,",
    ),
    (
        "callbacks.target_network.start=10 +callbacks.target_network.until=20 "
        "callbacks.target_network.every_n_updates=100",
        "there is no multiple of 100 from start to until",
    ),
    (
        "+callbacks/average_network=swa callbacks.target_network.evaluate=true",
        "average_network acts in evaluation",
    ),
    (
        "+experiment=cartpole callbacks.target_network.evaluate=true",
        "average_network acts in evaluation",
    ),
    (
        "+experiment=cartpole +callbacks.average_network.every_n_updates=100_000",
        "it acts after 100,000 updates, and the run has 24,",
    ),
    (
        "data.collection.epsilon.duration=500",
        "epsilon falls until env step 500, and actions are random until 1,000, the warm-up's end",
    ),
    ("data.collection.epsilon=1.0 data.collection.temperature=0.1", "all actions are random"),
    ("module.head.error=mse module.head.huber_threshold=2", "of error=mse"),
    ("module.network.noisy_sigma=0.1", "of module.network.noisy=false"),
    ("data/sampler=prioritized data.sampler.alpha=0 data.sampler.beta=1", "priorities are alike"),
    (
        "algorithm=munchausen_dqn module.target.munchausen.alpha=0 "
        "module.target.munchausen.lower_bound=-2",
        "of alpha=0",
    ),
    ("callbacks.best_checkpoint.save_top_k=0 callbacks.best_checkpoint.mode=min", "save_top_k=0"),
    (
        "callbacks=early_stopping",
        "it waits for 10 evaluations without improvement, and the run has",
    ),
    (
        "+callbacks/videos=default trainer.max_epochs=2",
        "it acts every 10 epochs",
    ),
    ("environment.worker_timeout=5", "no environment works in a process"),
    ("environment.max_worker_restarts=5", "no environment works in a process"),
    ("data.replay.sequence_length=5", "without module/self_prediction"),
    ("data.replay.storage=accelerator", "the device that learns is the CPU"),
    ("+callbacks/unseen_states=default", "the network is no table"),
    (
        "environment.id=lightning_dqn/TicTacToe-v0 +environment.kwargs.opponent._target_="
        "lightning_dqn.games.opponents.past_selves.PastSelves",
        "no past self joins the pool, moves are random; add +callbacks/promote_past_self=default",
    ),
    ("hints.step_size=0.5", "no part that was chosen reads it"),
]


@pytest.mark.parametrize(("arguments", "why"), IN_VAIN)
def test_what_nothing_reads_is_told_as_it_was_typed(arguments: str, why: str) -> None:
    typed = arguments.split()
    notes = [note for note in noted(*typed) if "without effect" in note]
    assert notes
    for note in notes:
        override, told = note.split(": is without effect, ")
        assert override in typed
        assert why in told


READ = [
    "algorithm=noisy_dqn data.collection.random_actions=true data.collection.epsilon.end=0.1",
    "algorithm=noisy_dqn module.network.noisy_sigma=0.1",
    "callbacks.target_network.tau=0.1 +callbacks/average_network=swa",
    "+experiment=cartpole callbacks.target_network.tau=0.1 callbacks.average_network.evaluate=true",
    "callbacks.target_network.evaluate=true data.collection.epsilon.duration=3000",
    "algorithm=pqn ~callbacks.target_network",
    "algorithm=pqn data.batch_size=16 data.env_steps_per_iteration=256",
    "callbacks=early_stopping callbacks.early_stopping.patience=2",
    "callbacks=early_stopping callbacks.early_stopping.stopping_threshold=400",
    "+callbacks/videos=default trainer.max_epochs=10",
    "+callbacks/shrink_and_perturb=default callbacks.shrink_and_perturb.every_n_updates=1000",
    "+experiment=tictactoe_table +callbacks/unseen_states=default",
    "environment.vectorization=async environment.worker_timeout=5 environment.num_envs=2",
    "algorithm=c51 hints.value_range.min=-3",
    "hints.step_size=0.1 +mine=${hints} module.optimizer.lr=${mine.step_size}",
    "hints.step_size=0.1 module.optimizer.lr=${oc.select:hints.step_size}",
    "hints.step_size=0.1 module.optimizer.lr=${hints[step_size]}",
    "hints.step_size=0.1 \"module.optimizer.lr='${ hints.step_size }'\"",
]


@pytest.mark.parametrize("arguments", READ)
def test_of_what_is_read_nothing_is_told(arguments: str) -> None:
    assert noted(*shlex.split(arguments)) == []


def test_of_a_sweep_is_told_what_no_job_reads() -> None:
    hint = "is without effect, no part that was chosen reads it"
    assert sweep("hints.step_size=0.5", "seed=0,1") == [f"hints.step_size=0.5: {hint}"]
    assert sweep("hints.step_size=0.5,0.1") == [f"hints.step_size=0.5,0.1: {hint}"]
    low = ("hints.value_range.min=-3", "algorithm=double_dqn,dueling")
    assert sweep(*low) == [f"hints.value_range.min=-3: {hint}"]
    n_step = "is without effect, LambdaReturns has targets of its own"
    assert sweep("algorithm=pqn", "data.replay.n_step=1,3") == [f"data.replay.n_step=1,3: {n_step}"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["hints.step_size=0.5", "module/optimizer=adam,sgd"],
        ["hints.value_range.min=-3", "algorithm=c51", "seed=0,1"],
        ["data.batch_size=64", "data.replay.n_step=3", "algorithm=pqn,dqn"],
        ["data.replay.n_step=1,3", "algorithm=pqn,dqn"],
        # More than are built: of those beyond nobody knows.
        ["environment.worker_timeout=5", f"data.batch_size={','.join(map(str, range(8, 48)))}"],
    ],
)
def test_what_one_of_several_jobs_reads_is_told_of_none(arguments: list[str]) -> None:
    assert sweep(*arguments) == []


def test_a_hint_is_looked_for_in_jobs_that_are_not_built_too() -> None:
    sizes = ",".join(map(str, range(8, 48)))
    assert (
        sweep("hints.step_size=0.5", "module/optimizer=adam,sgd", f"data.batch_size={sizes}") == []
    )


def test_of_jobs_that_a_sweeper_makes_up_nothing_is_told() -> None:
    asked = ["hints.step_size=0.5", "hydra.sweeper._target_=of.mine.Sweeper"]
    assert sweep(*asked) == []


def test_other_ranks_leave_telling_to_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ["hints.step_size=0.5", "trainer.devices=2", "trainer.strategy=ddp"]
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert noted(*asked, "data.evaluation.num_envs=2", "hydra.run.dir=runs/a") == []
    monkeypatch.delenv("LOCAL_RANK")
    assert len(noted(*asked, "data.evaluation.num_envs=2", "hydra.run.dir=runs/a")) == 1


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The last checkpoint of another run, of which four epochs are over."""
    folder = tmp_path / "run"
    for name in (".hydra", "checkpoints"):
        (folder / name).mkdir(parents=True)
    with Composer([CPU, "module.optimizer.lr=0.25", "notes='\\e[2J'"]) as composer:
        OmegaConf.save(without_hydra(composer.config()), folder / ".hydra" / "config.yaml")
    last = folder / "checkpoints" / "last.ckpt"
    last.touch()
    made = Progress(epochs=4, iterations=0, all_iterations=400, env_steps=25_600)
    monkeypatch.setattr("lightning_dqn.runs.budget.progress_of", lambda path: made)
    return last


def test_what_a_checkpoints_run_had_otherwise_is_told(begun: Path) -> None:
    [note] = sweep(f"ckpt_path='{begun}'", "notes=a,b")
    assert note.startswith(f"ckpt_path={begun}: its run had module.optimizer.lr=0.25; what a check")
    configuration = begun.parents[1] / ".hydra" / "config.yaml"
    text = configuration.read_text()
    configuration.write_text(text.replace("lr: 0.25", 'lr: "\\e[2J"'))
    [note] = noted(f"ckpt_path='{begun}'")
    assert "module.optimizer.lr=?[2J;" in note
    configuration.write_text("")
    assert noted(f"ckpt_path='{begun}'") == [], "it isn't needed"


def test_nothing_is_begun_for_which_a_checkpoint_leaves_nothing(begun: Path) -> None:
    from_it = f"ckpt_path='{begun}'"
    for epochs in (3, 4):
        with pytest.raises(ConfigError, match=rf"max_epochs={epochs}: .* has made 4 already"):
            noted(from_it, f"trainer.max_epochs={epochs}")
    noted(from_it, "trainer.max_epochs=5")
    with pytest.raises(ConfigError, match="env_steps=20000: the run has made 25600 already"):
        noted(from_it, "env_steps=20_000")
    noted(from_it, "env_steps=30_000")


def test_a_run_goes_on_with_no_fewer_epochs_than_it_has_made(begun: Path) -> None:
    def check(epochs: int) -> None:
        place = [f"hydra.run.dir='{begun.parents[1]}'", f"ckpt_path='{begun}'"]
        with Composer([CPU, *place, f"trainer.max_epochs={epochs}"]) as composer:
            check_jobs(composer, lambda job: True)

    with pytest.raises(ConfigError) as refused:
        check(3)
    assert str(refused.value) == ("trainer.max_epochs=3: the run has made 4 already; name more")
    check(4)  # which ends a run that was killed
    check(5)


def test_the_command_that_continues_is_told_whole(tmp_path: Path) -> None:
    folder = tmp_path / "my run, n=1"
    told = f"continue that run: python -m lightning_dqn resume '{folder}'"
    for name in ("summary.json", "checkpoints/last.ckpt"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).touch()
        with pytest.raises(ValueError, match=re.escape(told)):
            noted(f"hydra.run.dir='{folder}'")
        shutil.rmtree(folder)


def test_an_unfinished_run_is_not_begun_anew(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("lightning_dqn.runs.budget.progress_of", lambda path: None)
    place = f"hydra.run.dir={tmp_path / 'run'}"
    noted(place)
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    last.parent.mkdir(parents=True)
    last.with_name("last.previous.ckpt").touch()
    with pytest.raises(ConfigError, match=r"last\.ckpt of a run that isn't finished, .*resume "):
        noted(place)
    last.touch()
    (tmp_path / "link").symlink_to(tmp_path / "run")
    for way in ("run", "run/../run", "link"):
        noted(place, f"ckpt_path={tmp_path}/{way}/checkpoints/last.ckpt")


def test_a_run_without_a_folder_is_refused() -> None:
    with pytest.raises(ConfigError, match="run_dir=null: expected the path of a folder"):
        noted("run_dir=null")


@pytest.mark.parametrize("sampler", [["data.sampler=null"], ["~data/sampler"]])
def test_a_run_needs_no_sampler_of_its_own(sampler: list[str]) -> None:
    assert noted(*sampler, "data.batch_size=64") == []
