"""A search of a folder goes on if it may, and nothing else takes it for its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.searches import Scripted, finish, sweep_in

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.compose import Composer
from lightning_dqn.runs.trust import NOTHING, Trust
from lightning_dqn.study.planning import again
from lightning_dqn.study.search import Search
from lightning_dqn.study.search_conduct import conduct_search
from lightning_dqn.study.searching import begun, continued
from lightning_dqn.study.study import plan
from lightning_dqn.study.sweep import Sweep, read_sweep

pytest.importorskip("optuna")

LR = {"module.optimizer.lr": "interval(0.001,0.01)"}


def saved(folder: Path, params: dict[str, str] | None = None, *fixed: str) -> Sweep:
    sweep_in(folder, params=params or LR, fixed=["trainer=cpu", *fixed]).write()
    return read_sweep(folder)


def test_more_trials_may_be_asked_for(tmp_path: Path) -> None:
    searching = continued(saved(tmp_path), ["sweep.n_trials=9", "sweep.n_jobs=2"], NOTHING)
    assert searching.sweep.search is not None
    assert (searching.sweep.search.n_trials, searching.sweep.search.n_jobs) == (9, 2)


def test_what_of_its_own_keys_a_search_does_not_read_is_told(tmp_path: Path) -> None:
    search = saved(tmp_path, LR, "hints.step_size=0.5").search
    assert search is not None
    asked = Composer(["sweep=optuna", "sweep.startup_trials=8", "sweep.n_trials=9"])
    hint = "hints.step_size=0.5: is without effect, no part that was chosen reads it"
    assert begun(search, asked, []).composer.notes == [hint]
    own = "sweep.startup_trials=8: is without effect, median has it alone"
    assert begun(replace(search, pruner="none"), asked, []).composer.notes == [own, hint]


def test_an_interval_is_refused_of_a_key_that_takes_whole_numbers(tmp_path: Path) -> None:
    search = saved(tmp_path, {"data.batch_size": "interval(32,64)"}).search
    assert search is not None
    with pytest.raises(ConfigError, match=r"^data\.batch_size=44\.2"):
        begun(search, Composer([]), [])


def test_hyperband_is_told_whole_numbers_however_they_are_written(tmp_path: Path) -> None:
    written = ("data.env_steps_per_epoch=1e3", "trainer.max_epochs=9e0")
    search = saved(tmp_path, LR, *written).search
    assert search is not None
    pruner = begun(replace(search, pruner="hyperband"), Composer([]), []).pruner
    assert (pruner["min_resource"], pruner["max_resource"]) == (1000, 9000)
    assert all(isinstance(pruner[key], int) for key in ("min_resource", "max_resource"))


def test_a_pruner_that_the_real_numbers_do_not_suit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = saved(tmp_path, LR).search
    assert search is not None
    asked = {"_target_": "optuna.pruners.HyperbandPruner", "max_resource": 1.5}
    monkeypatch.setattr(Search, "pruner_asked", lambda *numbers: asked)
    with pytest.raises(ConfigError, match=r"^sweep\.pruner=optuna\.pruners\.HyperbandPruner: "):
        begun(search, Composer([]), [])


SELF_PLAY = ("environment.id=lightning_dqn/TicTacToe-v0", "data.replay.gamma=-0.9")


def test_returns_of_self_play_are_nothing_to_search_by(tmp_path: Path) -> None:
    search = saved(tmp_path, LR, *SELF_PLAY).search
    assert search is not None
    with pytest.raises(ConfigError, match=r"^sweep\.metric: in self-play eval/episode_return is"):
        begun(search, Composer([]), [])
    by_regret = replace(search, metric="eval/mean_regret")
    assert begun(by_regret, Composer([]), []).sweep.search == by_regret


def test_its_trials_may_name_what_is_trusted(tmp_path: Path) -> None:
    sweep = saved(tmp_path, LR, "notes=${oc.env:HOME}")
    searching = continued(sweep, [], Trust.of("oc.env"))
    assert searching.sweep.trust == ("oc.env",)
    assert again(searching.sweep, searching.composer).endswith(" trust=oc.env")


@pytest.mark.parametrize("argument", ["seed=3", "sweep.direction=minimize", "sweep.pruner=none"])
def test_nothing_else_may_be(argument: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"^{argument}: a sweep continues as it was asked for"):
        continued(saved(tmp_path), [argument], NOTHING)


@pytest.mark.parametrize(
    ("params", "fixed"),
    [
        ({"module.network._target_": "choice(lightning_dqn.networks.torsos.MLP,os.system)"}, ()),
        ({"name": "choice(a,'${oc.env:HOME}')"}, ()),
        (LR, ("+module.network.hidden={_target_:os.system}",)),
        ({"hydra.run.dir": "choice(a,b)"}, ()),
        (LR, ("hydra.run.dir=/",)),
    ],
)
def test_a_folder_says_nothing_that_isnt_trusted(
    params: dict[str, str], fixed: tuple[str, ...], tmp_path: Path
) -> None:
    sweep = sweep_in(tmp_path)
    with pytest.raises(ConfigError, match=r"os\.system|oc\.env|hydra\.run\.dir"):
        continued(saved(sweep.folder, params, *fixed), [], NOTHING)


def test_a_study_doesnt_go_on_with_a_search(tmp_path: Path) -> None:
    launcher = Scripted(lambda job, run_dir: finish(run_dir, 1.0))
    pruner = {"_target_": "optuna.pruners.NopPruner"}
    conduct_search(sweep_in(tmp_path), launcher, at_once=1, pruner=pruner, say=lambda line: None)
    with pytest.raises(ConfigError, match=r"holds a search; resume .* continues it$"):
        plan([], folder=tmp_path)


def test_a_study_doesnt_search() -> None:
    with pytest.raises(ConfigError, match=r"^sweep=optuna: a study runs all settings"):
        plan(["sweep=optuna"], seeds=[1])
