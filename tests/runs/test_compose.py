"""From the arguments of a command line to jobs and their configurations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import OmegaConf

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.compose import Composer, compose
from lightning_dqn.runs.hydra_flags import parse_arguments
from lightning_dqn.runs.jobs import ALONE

BATCHES = ("data.batch_size=8,16", "seed=0,1")


def jobs(*arguments: str) -> list[dict[str, Any]]:
    """Return what a few keys are in each job that is known before the first."""
    with Composer(arguments) as composer:
        return [
            {
                "number": job.number,
                "batch_size": job.config.data.batch_size,
                "seed": job.config.seed,
                "run_dir": job.config.run_dir,
            }
            for job in composer.jobs()
        ]


def test_the_jobs_of_a_grid_are_those_that_hydra_would_run() -> None:
    found = jobs("-m", *BATCHES)
    assert [(j["number"], j["batch_size"], j["seed"]) for j in found] == [
        (0, 8, 0),
        (1, 8, 1),
        (2, 16, 0),
        (3, 16, 1),
    ]
    names = [f"batch_size={size},seed={seed}" for size in (8, 16) for seed in (0, 1)]
    assert [Path(j["run_dir"]).name for j in found] == names
    assert len({Path(j["run_dir"]).parent for j in found}) == 1


def test_ranges_globs_and_parameters_of_the_sweeper_make_jobs() -> None:
    assert len(jobs("-m", "seed=range(0,5)")) == 5
    assert len(jobs("-m", "algorithm=glob(*iqn)")) == 2


def test_a_mode_in_the_configuration_sweeps_as_the_flag_does() -> None:
    assert len(jobs("hydra.mode=MULTIRUN", "seed=1,2")) == 2
    with Composer(["hydra.mode=MULTIRUN"]) as composer:
        assert composer.is_sweep
    with Composer(["seed=1"]) as composer:
        assert not composer.is_sweep


def test_a_sweep_without_the_flag_is_refused_as_hydra_does() -> None:
    with pytest.raises(HydraException, match="To sweep over it, add --multirun"):
        jobs("seed=1,2")


def test_a_job_knows_its_folder_its_number_and_its_choices_before_it_runs(tmp_path: Path) -> None:
    with Composer(
        ["-m", "seed=5,6", "name=n${hydra:job.num}-${hydra:runtime.choices.algorithm}"]
    ) as composer:
        names = [str(job.config.name) for job in composer.jobs()]
    assert names == ["n0-double_dqn", "n1-double_dqn"]
    with Composer([f"hydra.run.dir={tmp_path}/x"]) as composer:
        assert composer.config().run_dir == f"{tmp_path}/x"


def test_hydras_global_state_is_left_as_it_was() -> None:
    before = GlobalHydra.instance().hydra, HydraConfig.instance().cfg
    jobs("seed=1")
    with hydra.initialize_config_module("lightning_dqn.conf", version_base="1.3"):
        outer = GlobalHydra.instance().hydra
        compose([])
        assert GlobalHydra.instance().hydra is outer
    assert (GlobalHydra.instance().hydra, HydraConfig.instance().cfg) == before


def test_a_configuration_is_hydras_own_but_for_its_folder() -> None:
    """Values are set in a copy of what the choices give, which must come to the same."""
    overrides = [
        "+experiment=tictactoe",
        "data.batch_size=7",
        "+environment.kwargs.random_plies=2",
        "~callbacks.progress",
        "module.network.hidden=[3,4]",
        "+callbacks/clip_weights=norm",
    ]
    with hydra.initialize_config_module("lightning_dqn.conf", version_base="1.3"):
        expected = hydra.compose("config", overrides=[*overrides, "run_dir=."])
    for _ in range(2):  # composed, and from what is remembered
        assert OmegaConf.to_container(compose(overrides)) == OmegaConf.to_container(expected)


def test_what_hydra_records_of_overrides_is_complete_and_in_order() -> None:
    with Composer(["seed=3", "algorithm=c51", "hydra.job.name=me", "data.batch_size=4"]) as made:
        node = made.config().hydra
    assert node.overrides.task == ["seed=3", "algorithm=c51", "data.batch_size=4"]
    assert set(node.overrides.hydra) == {"hydra.job.name=me", "hydra.mode=RUN"}
    assert node.job.override_dirname == "algorithm=c51,data.batch_size=4,seed=3"
    assert node.job.name == "me"


@pytest.mark.parametrize(
    ("choices", "key", "value"),
    [
        (["algorithm=rainbow"], "data.replay.n_step", 3),  # the experiment has 10
        (["algorithm=rainbow", "data.replay.n_step=7"], "data.replay.n_step", 7),
        (["algorithm=c51"], "data.replay.n_step", 10),  # C51 has no word on it
        (["callbacks/target_network=ema"], "callbacks.target_network.every_n_updates", None),
        (["callbacks/target_network=hard"], "callbacks.target_network.every_n_updates", 100),
        (["module/network=mlp"], "module.network.hidden", [128, 128]),  # as in the experiment
        (["algorithm=q_learning"], "module.optimizer.lr", 0.1),
        (["callbacks=early_stopping"], "callbacks.early_stopping.patience", 10),
    ],
    ids=str,
)
def test_what_is_chosen_on_the_command_line_wins_over_an_experiment(
    choices: list[str], key: str, value: Any
) -> None:
    config = compose(["+experiment=cartpole", *choices])
    assert OmegaConf.select(config, key) == value


def test_what_an_option_inherits_from_the_former_one_leaves_the_experiments_values_alone() -> None:
    config = compose(["+experiment=tictactoe", "callbacks=early_stopping"])
    assert config.callbacks.best_checkpoint.monitor == "eval/mean_regret"


def test_an_option_in_a_folder_that_the_experiment_chose_itself_leaves_its_values_alone(
    own: Path,
) -> None:
    chosen = "# @package _global_\ndefaults:\n  - override /algorithm: atari/rainbow\n  - _self_\n"
    (own / "experiment" / "mine.yaml").write_text(chosen + "data:\n  replay:\n    n_step: 5\n")
    for more in ([], ["module/lr_scheduler=linear"]):
        assert compose(["+experiment=mine", *more]).data.replay.n_step == 5
    assert compose(["+experiment=mine", "algorithm=atari/der"]).data.replay.n_step == 20


def test_a_key_that_holds_null_can_be_taken_away() -> None:
    """Hydra says of it that it isn't there."""
    assert "head_hidden" not in compose(["~module.network.head_hidden"]).module.network
    assert "env_steps" not in compose(["~env_steps"])
    for other in ("~module.network.nothing", "~module.network.head_hidden=3", "~nothing.at.all"):
        with pytest.raises(HydraException):
            compose([other])


def test_what_gave_way_to_a_choice_is_told_once() -> None:
    with Composer(["-m", "+experiment=cartpole", "algorithm=rainbow", "seed=0,1"]) as composer:
        list(composer.jobs())
        assert composer.notes == [
            "data.replay.n_step=3 by a choice on the command line; the experiment has 10"
        ]
    for quiet in (["algorithm=rainbow", "data.replay.n_step=3"], ["algorithm=c51"], []):
        with Composer(["+experiment=cartpole", *quiet]) as composer:
            composer.config()
            assert composer.notes == []


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a ``conf`` of the user's own."""
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "conf"


def test_a_sweep_of_a_file_makes_jobs(own: Path) -> None:
    text = "# @package _global_\nhydra: {mode: MULTIRUN, sweeper: {params: {seed: '3,4'}}}\n"
    (own / "experiment" / "swept.yaml").write_text(text)
    assert [job["seed"] for job in jobs("+experiment=swept")] == [3, 4]


def test_a_process_for_one_run_makes_one_whatever_its_files_choose(own: Path) -> None:
    swept = "hydra: {mode: MULTIRUN, sweeper: {params: {seed: '3,4'}}}\n"
    text = "# @package _global_\ndefaults:\n  - override /sweep: optuna_cartpole\n"
    (own / "experiment" / "swept.yaml").write_text(text + swept)
    with Composer(["+experiment=swept"]) as composer:
        assert composer.is_sweep
        assert composer.search is not None
    with Composer(["+experiment=swept", ALONE]) as composer:
        assert not composer.is_sweep
        assert composer.search is None


def test_an_own_experiment_of_a_shipped_name_takes_its_place_and_a_line_says_so(own: Path) -> None:
    text = "# @package _global_\ndata: {batch_size: 3}\n"
    (own / "experiment" / "cartpole.yaml").write_text(text)
    (own / "config.yaml").write_text("another: project\n")
    with Composer(["+experiment=cartpole"]) as composer:
        assert composer.config().data.batch_size == 3
        [note] = composer.notes
    file = own / "experiment" / "cartpole.yaml"
    assert note == f"experiment=cartpole is {file}, not the shipped cartpole"
    assert compose(["+experiment=acrobot"]).environment.id == "Acrobot-v1"


def test_an_own_file_that_a_shipped_one_would_hide_is_refused(own: Path) -> None:
    (own / "algorithm").mkdir()
    (own / "algorithm" / "c51.yaml").write_text("# @package _global_\nseed: 5\n")
    (own / "algorithm" / "mine.yaml").write_text("# @package _global_\nseed: 5\n")
    assert compose(["algorithm=mine"]).seed == 5
    assert compose(["algorithm=dqn"]).seed == 0
    with pytest.raises(
        ConfigError, match=r"c51\.yaml: has the name of a shipped file, .*rename it"
    ):
        compose(["algorithm=c51"])


def test_a_configuration_of_another_name_is_composed_with_its_own_keys(own: Path) -> None:
    (own / "mine.yaml").write_text("defaults: [config, _self_]\nlr: 3\nseed: ${lr}\n")
    with Composer(["--config-name", "mine", "lr=4"]) as composer:
        assert composer.config().seed == 4


@pytest.mark.parametrize(
    "arguments",
    [
        ["-m", "seed=1", "--config-dir", "d", "name=x"],
        ["seed=1", "name=x", "-m", "--config-dir=d"],
        ["seed=1", "--config-dir", "d", "name=x", "--multirun"],
    ],
    ids=str,
)
def test_flags_and_overrides_come_in_any_order(arguments: list[str]) -> None:
    parsed = parse_arguments(arguments)
    assert (parsed.multirun, parsed.config_dir) == (True, "d")
    assert parsed.overrides == ["seed=1", "name=x"]


def test_an_experiment_is_found_in_conf_of_the_working_directory_and_in_a_given_folder(
    tmp_path, monkeypatch
):
    for folder, size in (("conf", 5), ("given", 6)):
        (tmp_path / folder / "experiment").mkdir(parents=True)
        own = f"# @package _global_\ndata:\n  batch_size: {size}\n"
        (tmp_path / folder / "experiment" / f"in_{folder}.yaml").write_text(own)
    monkeypatch.chdir(tmp_path)
    assert compose(["+experiment=in_conf"]).data.batch_size == 5
    assert compose(["+experiment=in_given"], config_dir="given").data.batch_size == 6
    with pytest.raises(HydraException, match="experiment/in_given"):
        compose(["+experiment=in_given"])


def test_what_a_run_begins_from_holds_wherever_its_job_works(own: Path, tmp_path: Path) -> None:
    text = "# @package _global_\nweights_from: runs/b\n"
    (own / "experiment" / "warm.yaml").write_text(text)
    with Composer(["ckpt_path='runs/a b/last.ckpt'", "+experiment=warm"]) as composer:
        config = composer.config()
        assert config.ckpt_path == str(tmp_path / "runs/a b/last.ckpt")
        assert config.weights_from == str(tmp_path / "runs/b")
        saved = list(config.hydra.overrides.task)
    assert saved == [f"ckpt_path='{tmp_path}/runs/a b/last.ckpt'", "+experiment=warm"]
    with Composer(["ckpt_path=null", "weights_from=${oc.env:HOME}/a"]) as composer:
        assert composer.config().ckpt_path is None
    with Composer(["-m", "weights_from=a,b"]) as composer:
        found = [job.overrides for job in composer.jobs()]
    assert found == [(f"weights_from={tmp_path}/{name}",) for name in "ab"]
