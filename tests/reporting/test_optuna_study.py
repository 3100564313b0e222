"""Optuna is imported when it is used, and only what is Optuna's own is built of it."""

import sys
import warnings
from pathlib import Path

import pytest

from lightning_dqn.reporting.optuna_study import (
    load_optuna,
    make_pruner,
    make_sampler,
    open_storage,
    quiet,
)


def test_a_missing_optuna_is_told_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ValueError, match=r"^optuna is missing .*pip install 'lightning-dqn\[opt"):
        load_optuna()


def test_samplers_and_pruners_are_optunas() -> None:
    optuna = pytest.importorskip("optuna")
    sampler = make_sampler({"_target_": "optuna.samplers.TPESampler", "seed": 1})
    pruner = make_pruner({"_target_": "optuna.pruners.MedianPruner", "n_startup_trials": 1})
    assert type(sampler) is optuna.samplers.TPESampler
    assert type(pruner) is optuna.pruners.MedianPruner


def test_a_sampler_of_ones_own_choice_has_the_seed_of_the_search() -> None:
    optuna = pytest.importorskip("optuna")

    def drawn(of_search: int, **own: int) -> float:
        sampler = make_sampler({"_target_": "optuna.samplers.RandomSampler", **own}, of_search)
        return float(optuna.create_study(sampler=sampler).ask().suggest_float("x", 0, 1))

    assert drawn(3) == drawn(3) != drawn(4)
    assert drawn(4, seed=3) == drawn(3)
    grid = {"_target_": "optuna.samplers.PartialFixedSampler", "fixed_params": {"x": 1}}
    base = make_sampler({"_target_": "optuna.samplers.RandomSampler"}, 1)
    made = make_sampler({**grid, "base_sampler": base}, 1)  # it takes none
    assert type(made) is optuna.samplers.PartialFixedSampler


@pytest.mark.parametrize("target", ["builtins.exec", "optuna.samplers.os", "TPESampler", ""])
def test_another_class_is_refused(target: str) -> None:
    pytest.importorskip("optuna")
    with pytest.raises(ValueError, match=f"sampler={target}: not a class of optuna.samplers"):
        make_sampler({"_target_": target})


def test_notices_of_each_trial_stay_off_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    optuna = pytest.importorskip("optuna")
    load_optuna()
    study = optuna.create_study(storage=open_storage(tmp_path / "journal"))
    trial = study.ask()
    with quiet():
        trial.report(1.0, 1)
        trial.report(2.0, 1)
    study.tell(trial, 1.0)
    assert capfd.readouterr() == ("", "")


def test_other_warnings_are_heard() -> None:
    pytest.importorskip("optuna")
    with pytest.warns(UserWarning, match="of another kind"), quiet():
        warnings.warn("of another kind", stacklevel=1)
