"""What a saved configuration and saved overrides may name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from support.hostile_files import Canary, make_canary

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.check import choices
from lightning_dqn.runs.compose import compose
from lightning_dqn.runs.trust import (
    NOTHING,
    Trust,
    check_overrides,
    check_saved,
    needed_trust,
    take_trust,
)

IMPORT = "torchmetrics.metric.inspect.importlib.import_module"

HOSTILE: dict[str, Any] = {
    "environment": {"_target_": "os.system", "command": "touch canary"},
    "environment._target_": "lightning_dqn.system.files.os.system",
    "environment.wrappers": [{"_target_": "evilmod.Wrapper", "_partial_": True}],
    "environment.id": "evilmod:X-v0",
    "environment.kwargs": {"game": {"_target_": IMPORT, "name": "evilmod"}},
    "data.evaluation.environment": "evilmod:X-v0",
    "data.sampler": {"_target_": "evilmod.Net", "width": 3},
    "data.collection.epsilon": {"_target_": "torch.hub.load", "repo_or_dir": "evil"},
    "module.network": {"_target_": "torch.load", "f": "evil"},
    "module.network._target_": "torch.nn.modules.linear.torch.load",
    "module.head": {"_target_": "lightning_dqn.dqn.DQN", "environment": "evilmod:X-v0"},
    "module.optimizer": {"_target_": "torch.optim.optimizer.functools.partial"},
    "callbacks.own": {"_target_": "evilmod.Own"},
    "callbacks.lambda": {
        "_target_": "pytorch_lightning.callbacks.LambdaCallback",
        "setup": {"_target_": "os.system", "command": "touch canary"},
    },
    "trainer.profiler": {"_target_": "evilmod.Own"},
    "logger.mine": {"_target_": "lightning_dqn.formats.saved.read_saved", "path": "evil"},
    "logger.csv.run_dir": "s3://evil.example/x",
    "name": "${oc.env:OF_A_TEST}",
    "tags": ["${oc.decode:'x'}"],
    "seed": "${${name}:OF_A_TEST}",
    "hints.step_size": "${now:${oc.env:OF_A_TEST}}",
    "data.sampler._target_": "${name}",
    "data.replay._target_": {"a": "b"},
    "environment.kwargs.x": {"_target_": "evil\n\x1b[2Jmod.Own"},
}
"""Key -> what a saved configuration names there."""


@pytest.fixture
def canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Canary:
    monkeypatch.setenv("OF_A_TEST", "secret value")
    return make_canary(tmp_path, monkeypatch)


def changed(key: str, value: Any) -> Any:
    config = compose([])
    OmegaConf.update(config, key, value, merge=False, force_add=True)
    return config


@pytest.mark.parametrize("key", HOSTILE)
def test_a_hostile_configuration_is_refused_by_its_key_and_nothing_runs(
    key: str, canary: Canary
) -> None:
    with pytest.raises(ConfigError) as error:
        check_saved(changed(key, HOSTILE[key]), NOTHING, "config.yaml")
    assert str(error.value).startswith(f"config.yaml: {key}")
    assert "secret value" not in str(error.value)
    assert "\n" not in str(error.value)
    assert not canary.sang


def test_names_that_interpolations_put_together_are_seen(canary: Canary) -> None:
    config = changed("environment.id", "evilmod${name}X-v0")
    config.name = ":"
    with pytest.raises(ConfigError, match=r"environment\.id=evilmod:X-v0: imports evilmod; trust"):
        check_saved(config, NOTHING, "config.yaml")
    config.environment.id, config.data.sampler = "CartPole-v1", "${callbacks.progress}"
    with pytest.raises(ConfigError, match=r"data\.sampler\._target_=.*expected UniformSampling"):
        check_saved(config, NOTHING, "config.yaml")
    assert not canary.sang


@pytest.mark.parametrize(
    "experiment", [*choices()["experiment"], *(f"algorithm={n}" for n in choices()["algorithm"])]
)
def test_everything_that_is_shipped_needs_no_trust(experiment: str) -> None:
    chosen = experiment if "=" in experiment else f"+experiment={experiment}"
    config = compose([chosen])
    config.run_dir = "runs/x"
    assert needed_trust(config) == []


@pytest.mark.parametrize(
    "group",
    [
        *("callbacks", "logger", "trainer", "module/optimizer"),
        *("+callbacks/videos", "+callbacks/prune_trial"),
    ],
)
def test_other_options_need_none_either(group: str) -> None:
    for option in choices()[group.lstrip("+")]:
        trial = ["callbacks.prune_trial.trial=0"] if "prune_trial" in group else []
        config = compose([f"{group}={option}", *trial])
        config.run_dir = "runs/x"
        assert needed_trust(config) == [], option
        check_saved(config, NOTHING, "config.yaml")


@pytest.mark.parametrize(
    "target",
    [
        "torch.optim.AdamW",
        "torch.optim.adamw.AdamW",
        "torch.optim.lr_scheduler.Optimizer",
    ],
)
def test_a_class_is_known_by_where_it_is_defined(target: str) -> None:
    check_saved(changed("module.optimizer._target_", target), NOTHING, "config.yaml")


@pytest.mark.parametrize(
    ("key", "value", "names"),
    [
        ("environment.id", "evilmod:X-v0", ["evilmod"]),
        ("environment.wrappers", HOSTILE["environment.wrappers"], ["evilmod"]),
        ("environment.wrappers", ["evilmod.Wrapper"], ["evilmod"]),
        ("callbacks.own", {"_target_": "evilmod.Own"}, ["evilmod"]),
        (
            "module.lr_scheduler",
            {
                "_target_": "torch.optim.lr_scheduler.LambdaLR",
                "_partial_": True,
                "lr_lambda": {"_target_": "torch.nn.functional.relu", "_partial_": True},
            },
            ["torch.nn.functional.relu"],
        ),
        ("name", "${oc.env:OF_A_TEST}", ["oc.env"]),
        ("logger.csv.run_dir", "s3://evil.example/x", ["evil.example"]),
    ],
)
def test_what_is_trusted_is_taken_and_a_run_tells_what_that_is(
    key: str, value: Any, names: list[str], canary: Canary
) -> None:
    config = changed(key, value)
    assert needed_trust(config) == names
    assert not canary.sang
    check_saved(config, Trust.of(",".join(names)), "config.yaml")


@pytest.mark.parametrize(
    ("key", "name", "reason"),
    [
        ("environment", "evilmod.Wrapper", "expected something of gymnasium.wrappers; trust="),
        ("environment", "evil-mod.Wrapper", "expected something of gymnasium.wrappers; trust="),
        ("environment", "gymnasium.wrappers.monitoring.os.system", "expected Wrapper; trust="),
        ("environment", "gymnasium.make", "expected something of gymnasium.wrappers; trust="),
        ("data.evaluation.environment", "evilmod.Wrapper", "expected something of gymnasium"),
        ("environment", "${name}.Wrapper", "expected something of gymnasium.wrappers"),
    ],
)
def test_a_wrapper_named_by_text_is_held_to_what_a_target_is(
    key: str, name: str, reason: str, canary: Canary
) -> None:
    config = changed(f"{key}.wrappers", [name])
    with pytest.raises(ConfigError, match=rf"^config\.yaml: {key}\.wrappers\[0\]=.*{reason}"):
        check_saved(config, NOTHING, "config.yaml")
    assert not canary.sang


def test_wrappers_of_gymnasium_need_no_trust() -> None:
    config = changed("environment.wrappers", ["gymnasium.wrappers.FlattenObservation"])
    check_saved(config, NOTHING, "config.yaml")
    assert needed_trust(config) == []


def test_trust_ends_at_a_modules_boundary(canary: Canary) -> None:
    trust = Trust.of("evil, evilmod.inner")
    assert trust.covers("evil.part")
    assert not trust.covers("evilmod.Own")
    assert trust.covers("evilmod.inner.Own")
    with pytest.raises(ConfigError, match=r"^trust=a/b: expected modules, as "):
        Trust.of("a/b")
    # What a trusted module has imported isn't its own.
    config = changed("callbacks.own", {"_target_": "evilmod.gymnasium.make"})
    with pytest.raises(ConfigError, match=r"it is of gymnasium\.envs\.registration; trust="):
        check_saved(config, Trust.of("evilmod"), "config.yaml")


OUTSIDE: dict[str, Any] = {
    "run_dir": "/home/u/x",
    "callbacks.safe_stop.path": "/home/u/thesis.pdf",
    "callbacks.last_checkpoint.dirpath": "src",
    "callbacks.last_checkpoint.filename": "../../x",
    "callbacks.best_checkpoint.filename": "/home/u/x",
    "callbacks.best_checkpoint.dirpath": "~/x",
    "callbacks.doctor.run_dir": "${run_dir}/../x",
    "callbacks.v.folder": "/home/u",
    "callbacks.prune_trial.storage": "${run_dir}/../../optuna.journal",
    "logger.csv.run_dir": "$HOME/x",
    "logger.wandb.id_path": ".bashrc",
    "logger.wandb.settings.files_dir": "/home/u",
    "logger.mlflow.tracking_uri": "sqlite:////home/u/x.db",
    "logger.tensorboard.version": "../../x",
    "logger.tensorboard.save_dir": "simplecache::file:///home/u",
    "logger.tensorboard._args_": ["src"],
    "trainer.default_root_dir": "/home/u",
    "data.replay.directory": "../ring",
    "environment.wrappers": [{"video_folder": "/home/u"}],
    "data.evaluation.environment.wrappers": [{"video_folder": "/home/u"}],
}
"""Key -> a place outside the run's folder."""


@pytest.mark.parametrize("key", OUTSIDE)
def test_a_place_outside_the_runs_folder_is_taken_only_where_it_is_typed_or_trusted(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = changed("run_dir", "sent")
    OmegaConf.update(config, key, OUTSIDE[key], force_add=True)
    with pytest.raises(ConfigError, match=r"isn't (in )?the run's folder sent") as error:
        check_saved(config, NOTHING, "resume", folder=Path("sent"))
    named = str(error.value).removeprefix("resume: ").partition("=")[0]
    assert named.startswith(key)
    # A module of the user's that is called likewise is another thing.
    modules = Trust.of("callbacks,logger,trainer,data,environment")
    with pytest.raises(ConfigError, match=r"isn't (in )?the run's folder"):
        check_saved(config, modules, "resume", folder=Path("sent"))
    told = named.replace("[0]", "")
    check_saved(config, Trust.of(told), "resume", folder=Path("sent"))
    value = OUTSIDE[key]
    text = f"'{value}'" if isinstance(value, str) else str(value).replace("'", "")
    typed, _ = take_trust([f"+{key}={text}"])
    check_saved(config, typed, "resume", folder=Path("sent"))
    if key != "run_dir":
        assert needed_trust(config) == [told], "which the command that goes on tells"


def test_a_link_that_leads_out_of_the_runs_folder_is_no_place_in_it(tmp_path: Path) -> None:
    config = compose(["logger=wandb"])
    config.run_dir = str(tmp_path / "sent")
    check_saved(config, NOTHING, "resume", folder=tmp_path / "sent")
    (tmp_path / "sent").mkdir()
    (tmp_path / "sent" / "wandb_id.txt").symlink_to(tmp_path / ".bashrc")
    with pytest.raises(ConfigError, match=r"logger\.wandb\.id_path=.*trust=logger\.wandb\.id_path"):
        check_saved(config, NOTHING, "resume", folder=tmp_path / "sent")


OVERRIDES = [
    "environment.id=evilmod:X-v0",
    "++environment.id='evilmod:X-v0'",
    "environment={_target_:lightning_dqn.environments.factory.EnvironmentFactory,id:'evilmod:X-v0'}",
    "+environment.wrappers=[{_target_:evilmod.Wrapper,_partial_:true}]",
    "module.optimizer._target_=os.system",
    "module.optimizer._target_=${name}",
    "environment.wrappers=[evilmod.Wrapper]",
    "+data.evaluation.environment={wrappers:[evilmod.Wrapper]}",
    "+environment.kwargs.wrappers=[evilmod.Wrapper]",
    "+data.evaluation.environment._target_=evilmod.Net",
    "+hydra.callbacks.watch._target_=evilmod.Watch",
    "hydra.searchpath=[file:///evil]",
    "+hydra.job.env_set.PATH=/evil",
    "hydra/launcher=evil",
    "hydra/job_logging=evil",
    "hydra.sweeper._target_=evilmod.Net",
    "hydra={callbacks:{x:{_target_:evilmod.Watch}}}",
    "~hydra.callbacks",
    "--config-dir=/evil",
    "-m",
    "seed=1,2",
    "+experiment=../../evil/x",
    "callbacks=[default,../evil]",
    "name=${oc.env:OF_A_TEST}",
    "name=$\\{oc.env:OF_A_TEST\\}",
    "+tags=[${oc.create:x}]",
    "logger.csv.run_dir=http://evil.example",
    "name=[",
]


@pytest.mark.parametrize("override", OVERRIDES)
def test_a_hostile_override_is_refused_before_anything_is_composed(
    override: str, canary: Canary
) -> None:
    with pytest.raises(ConfigError, match=r"^saved: ") as error:
        check_overrides([override], NOTHING, "saved")
    assert "secret value" not in str(error.value)
    assert not canary.sang


def test_overrides_of_every_day_are_taken() -> None:
    saved = [
        "+experiment=cartpole",
        "algorithm=rainbow",
        "module/optimizer=sgd",
        "module.network.hidden=[3,4]",
        "~callbacks.progress",
        "name='a: b'",
        "data.replay.directory=../ring",
        "trainer.max_time='00:01:00:00'",
        "module.optimizer._target_=torch.optim.AdamW",
        "environment.kwargs={opponent:'search:4'}",
        "logger.mlflow.tracking_uri=file:runs/mlflow",
        "name=${environment.id}",
    ]
    check_overrides(saved, NOTHING, "saved")


def test_what_was_typed_beside_a_folder_is_the_users_own() -> None:
    typed = ["trust=a,b.c", "seed=1", "+callbacks.x={_target_: mine.Own}", "environment.id=my:X-v0"]
    trust, rest = take_trust(typed)
    assert rest == typed[1:]
    assert all(trust.covers(name) for name in ("a.x", "b.c", "mine.Own", "my"))
    assert not any(trust.covers(name) for name in ("b", "X-v0", "mine.Other"))
    trust, _ = take_trust(["environment.wrappers=[yours.Wrap]", "name=theirs.Wrap"])
    assert trust.covers("yours.Wrap")
    assert not trust.covers("theirs.Wrap")
    trust, _ = take_trust(["test=false", "+callbacks.x={folder: /x, every: 1}", "--config-dir=y"])
    assert trust.covers_place("callbacks.x.folder")
    assert not trust.covers_place("callbacks.x.path")
    assert not trust.covers("test.support"), "a key isn't a module"
