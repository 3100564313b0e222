"""A run: what it leaves in its folder, and how it is summed up."""

from __future__ import annotations

import json
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import LambdaCallback
from support.short_runs import small_config, small_run

from lightning_dqn.formats.saved import load_agent, read_saved
from lightning_dqn.reporting.metrics_file import read_rows
from lightning_dqn.runs.experiment import prepare
from lightning_dqn.runs.finished.finished_run import FinishedRun
from lightning_dqn.runs.run import Summary, run

# The checkpoint after the first epoch is the best of both.
FIRST_IS_BEST = (
    "callbacks.best_checkpoint.monitor=train/updates",
    "callbacks.best_checkpoint.mode=min",
)


def summary(**changed: Any) -> Summary:
    values: dict[str, Any] = {
        "name": "mine",
        "run_dir": Path("runs/mine/now"),
        "env_steps": 12_345,
        "updates": 6_789,
        "seconds": 2.0,
        "tested": "the last weights",
        "episode_return": 123.45,
        "episode_return_std": 6.78,
        "episodes": 100,
    }
    return Summary(**{**values, **changed})


def test_a_summary_tells_result_effort_and_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    assert str(summary()).splitlines() == [
        "mine: return 123.5 ± 6.8 over 100 test episodes (the last weights)",
        "  trained   12,345 env steps, 6,789 updates in 2.0 s (6,172 env steps/s)",
        "  files     runs/mine/now",
        "  evaluate  python -m lightning_dqn evaluate runs/mine/now",
        "  continue  python -m lightning_dqn resume runs/mine/now trainer.max_epochs=N",
    ]


def test_a_summary_tells_of_test_episodes_that_were_cut() -> None:
    assert str(summary(episodes_cut=7)).splitlines()[0] == (
        "mine: return 123.5 ± 6.8 over 100 test episodes, 7 of them cut (the last weights)"
    )


def test_a_summary_without_a_test_or_time_says_so() -> None:
    text = str(summary(episode_return=None, episode_return_std=None, episodes=0, seconds=0.0))
    assert text.splitlines()[0] == "mine: not tested"


def test_a_python_in_the_working_directory_is_called_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv" / "bin" / "python"))
    assert "  evaluate  .venv/bin/python -m lightning_dqn " in str(summary())


@pytest.fixture(scope="module")
def best_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Summary]:
    folder = tmp_path_factory.mktemp("runs") / "tested"
    return folder, small_run(folder, *FIRST_IS_BEST, "seed=3")


def test_the_summary_is_also_a_file(best_run: tuple[Path, Summary]) -> None:
    folder, found = best_run
    saved = json.loads((folder / "summary.json").read_text())
    for name in ("name", "env_steps", "updates", "seconds", "tested", "episode_return", "episodes"):
        assert saved[name] == getattr(found, name), name
    assert saved["run_dir"] == str(folder)
    assert saved["seed"] == 3
    assert saved["episodes_cut"] == 0
    assert saved["evaluation"] == {"epsilon": 0.0, "max_episode_steps": None}
    assert saved["first_env_step"] == 0
    assert saved["wall_seconds"] > saved["seconds"] > 0
    assert saved["hardware"]["device"] == "cpu"
    assert {"commit", "versions"} <= set(saved)


def test_a_run_counts_what_it_learned_from_and_tests_the_best_checkpoint(
    best_run: tuple[Path, Summary],
) -> None:
    folder, found = best_run
    last = read_saved(folder / "checkpoints" / "last.ckpt").counters
    best = read_saved(folder / "checkpoints" / "best.ckpt").counters
    assert {"env_steps": found.env_steps, "updates": found.updates} == last
    assert best["updates"] == last["updates"] / 2 == 16
    assert found.tested == f"the best checkpoint, of env step {best['env_steps']:,}"
    assert found.episodes == 4
    assert found.episode_return is not None


def test_the_weights_of_the_best_checkpoint_are_saved_without_a_test_too(
    best_run: tuple[Path, Summary], tmp_path: Path
) -> None:
    tested, _ = best_run
    found = small_run(tmp_path / "run", *FIRST_IS_BEST, "seed=3", "test=false")
    assert (found.episode_return, found.episodes) == (None, 0)
    saved = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert saved["evaluation"] is None, "those of validation are no test's"
    assert found.tested.startswith("the best checkpoint, of env step ")
    for folder in (tested, tmp_path / "run"):
        saved, best, last = (
            load_agent(place).state_dict()
            for place in (
                folder,
                folder / "checkpoints" / "best.ckpt",
                folder / "checkpoints" / "last.ckpt",
            )
        )
        assert saved.keys() == best.keys()
        assert all(torch.equal(saved[name], best[name]) for name in best)
        assert not torch.equal(last["q_network.head.weight"], best["q_network.head.weight"])


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b"x" * 99), Path.unlink])
def test_where_the_best_checkpoint_is_lost_the_last_weights_are_tested_and_it_is_told(
    damage: Any, tmp_path: Path
) -> None:
    experiment = prepare(small_config(tmp_path / "run", *FIRST_IS_BEST))
    best = tmp_path / "run" / "checkpoints" / "best.ckpt"
    callbacks: Any = experiment.trainer.callbacks  # type: ignore[attr-defined]
    callbacks.append(LambdaCallback(on_train_end=lambda *_: damage(best)))
    with pytest.warns(UserWarning, match=r"last weights are tested instead of the best: .*best"):
        found = run(experiment)
    assert isinstance(found, Summary)
    assert found.tested == "the last weights"
    assert found.episodes == 4
    last = load_agent(tmp_path / "run" / "checkpoints" / "last.ckpt").state_dict()
    saved = load_agent(tmp_path / "run").state_dict()
    assert all(torch.equal(saved[name], last[name]) for name in last)


def test_a_run_without_checkpoints_saves_and_tests_the_last_weights(tmp_path: Path) -> None:
    config = small_config(
        tmp_path / "run",
        "~callbacks.best_checkpoint",
        "~callbacks.last_checkpoint",
        "trainer.max_epochs=1",
    )
    experiment = prepare(config)
    found = run(experiment)
    assert found.tested == "the last weights"
    assert found.episode_return is not None
    saved = load_agent(tmp_path / "run").q_network.state_dict()
    own = experiment.module.q_network.state_dict()
    assert all(torch.equal(saved[name], own[name]) for name in own)
    assert not (tmp_path / "run" / "checkpoints").exists()
    assert "continue" not in str(found)


# The command line keeps this from the terminal.
@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
def test_the_env_steps_of_a_continued_run_add_up_to_all(tmp_path: Path) -> None:
    before = small_run(tmp_path / "run", "test=false")
    checkpoint = tmp_path / "run" / "checkpoints" / "last.ckpt"
    overrides = (f"ckpt_path='{checkpoint}'", "trainer.max_epochs=3", "test=false")
    found = run(prepare(small_config(tmp_path / "run", *overrides)))
    saved = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert saved["env_steps"] == found.env_steps
    last = read_saved(checkpoint).counters
    assert last["updates"] == 1.5 * before.updates
    assert last["env_steps"] == saved["first_env_step"] + found.env_steps > before.env_steps


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
def test_a_run_that_time_ended_is_made_longer_by_time(tmp_path: Path) -> None:
    """The time that it took counts, so that more epochs alone would end at once."""
    folder = tmp_path / "run"
    found = run(prepare(small_config(folder, "+trainer.max_time={microseconds: 1}", "test=false")))
    assert found.longer == "trainer.max_time=DD:HH:MM:SS"
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # as that of a timer which is missing
        warnings.filterwarnings("ignore", message="Checkpoint directory .* exists")
        last = f"ckpt_path='{folder / 'checkpoints' / 'last.ckpt'}'"
        found = run(prepare(small_config(folder, last, "test=false")))
    assert found.longer == "trainer.max_epochs=N"
    timed = small_config(tmp_path / "other", "+trainer.max_time=00:01:00:00", "test=false")
    assert run(prepare(timed)).longer == "trainer.max_epochs=N"


def test_a_folder_that_was_moved_goes_on_without_a_warning(
    best_run: tuple[Path, Summary], tmp_path: Path
) -> None:
    folder = tmp_path / "moved"
    shutil.copytree(best_run[0], folder)
    last = folder / "checkpoints" / "last.ckpt"

    asked = (*FIRST_IS_BEST, "seed=3", f"ckpt_path='{last}'", "trainer.max_epochs=3")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.filterwarnings("ignore", message="Checkpoint directory .* exists")
        found = run(prepare(small_config(folder, *asked)))
    assert found.tested.startswith("the best checkpoint")


class Broken(pl.Callback):
    """Ends a fit or a test by an error."""

    def on_train_batch_end(self, *args: Any) -> None:
        raise RuntimeError("broken")

    on_test_batch_end = on_train_batch_end


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
@pytest.mark.parametrize("epochs", [2, 3])
def test_a_finished_run_is_one_until_it_learns_on(epochs: int, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    small_run(folder)
    assert FinishedRun.find(folder).weights == folder
    last = folder / "checkpoints" / "last.ckpt"
    again = prepare(small_config(folder, f"ckpt_path='{last}'", f"trainer.max_epochs={epochs}"))
    again.trainer.callbacks.append(Broken())  # type: ignore[attr-defined]
    with pytest.raises(RuntimeError, match="broken"):
        run(again)
    has_learned_on = epochs == 3
    assert (folder / "summary.json").is_file() != has_learned_on
    best = folder / "checkpoints" / "best.ckpt"
    assert FinishedRun.find(folder).weights == (best if has_learned_on else folder)


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
def test_a_run_that_begins_anew_has_no_rows_of_the_attempt_before(tmp_path: Path) -> None:
    broken = prepare(small_config(tmp_path / "run"))
    broken.trainer.callbacks.append(Broken())  # type: ignore[attr-defined]
    with pytest.raises(RuntimeError, match="broken"):
        run(broken)
    assert env_steps_of_rows(tmp_path / "run")
    run(prepare(small_config(tmp_path / "run", "test=false")))
    run(prepare(small_config(tmp_path / "other", "test=false")))
    assert env_steps_of_rows(tmp_path / "run") == env_steps_of_rows(tmp_path / "other")


def env_steps_of_rows(folder: Path) -> list[float]:
    return [row.env_steps for row in read_rows(folder / "metrics.csv")]


def test_threads_are_those_of_the_configuration(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    try:
        config = small_config(tmp_path, "num_threads=2", "trainer.max_epochs=1", "test=false")
        run(prepare(config))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
