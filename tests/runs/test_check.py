"""What is said of a configuration before anything is made of it; most is in the mistakes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import open_dict

from lightning_dqn.runs import check
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.check import check_folder, check_keys, check_lengths, check_values
from lightning_dqn.runs.compose import compose


def test_a_key_of_the_users_own_is_fine_where_something_refers_to_it() -> None:
    check_keys(compose(["+speed=0.5", "module.optimizer.lr=${speed}"]))
    check_keys(compose(["+mine={a: 1}", "seed=${mine.a}"]))
    check_keys(compose(["+hints.own=3", "seed=${hints.own}"]))
    with pytest.raises(ConfigError, match=r"^speed: no such key, and nothing refers to it as"):
        check_keys(compose(["+speed=0.5"]))


def test_keys_of_a_former_version_are_left_to_the_word_that_is_said_of_them() -> None:
    config = compose([])
    with open_dict(config):
        config.value_range = {"min": 0, "max": 1}
    check_keys(config)


def test_every_shipped_experiment_and_preset_passes() -> None:
    seen: set[str] = set()
    for experiment in ("cartpole", "connect_four", "tictactoe_vs_random", "gambler"):
        config = compose([f"+experiment={experiment}"])
        check_keys(config)
        check_values(config, seen)
    assert len(seen) > 8


def test_a_node_that_was_checked_is_not_checked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = []
    checks = {name: lambda config, name, node: counted.append(name) for name in check.PARTS}
    monkeypatch.setattr(check, "_CHECKS", checks)
    seen: set[str] = set()
    for overrides in ([], ["module.optimizer.lr=0.5"], ["seed=3"], []):
        check_values(compose(overrides), seen)
    assert sorted(counted) == sorted([*check.PARTS, "module"])


@pytest.mark.parametrize(
    "overrides",
    [
        ["trainer.max_epochs=-1", "data.collection.warmup_env_steps=900_000_000"],
        ["trainer.max_epochs=null"],
        ["data.batch_size=51_000"],
        ["data.collection.warmup_env_steps=50_000"],
    ],
    ids=str,
)
def test_a_run_in_which_something_is_learned_is_long_enough(overrides: list[str]) -> None:
    check_lengths(compose(overrides))


def test_a_minibatch_larger_than_the_ring_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^data\.batch_size=501: more than the 500 rows that"):
        check_lengths(compose(["data.batch_size=501", "data.replay.capacity=500"]))


def test_a_folder_is_probed_and_left_as_it_was(tmp_path: Path) -> None:
    check_folder(tmp_path / "deep" / "er", "run_dir")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's user namespaces")
def test_a_folder_that_is_mounted_read_only_is_refused(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\nfrom lightning_dqn.runs.check import check_folder\n"
        f"check_folder(Path({str(tmp_path)!r}) / 'x', 'run_dir')"
    )
    bind = f"mount --bind {tmp_path} {tmp_path} && mount -o remount,ro,bind {tmp_path}"
    in_namespace = ["unshare", "--mount", "--map-root-user", "sh", "-c"]
    result = subprocess.run(
        [*in_namespace, f'{bind} || exit 77; exec "$0" -c "$1"', sys.executable, code],
        capture_output=True,
        text=True,
    )
    if result.returncode == 77 or "unshare" in result.stderr:
        pytest.skip("no mount may be made here")
    assert result.returncode != 0
    assert f"run_dir={tmp_path}/x: {tmp_path} can't be written" in result.stderr


def test_hydras_folder_of_the_configuration_stays_where_it_is_looked_for() -> None:
    config = compose([])
    with open_dict(config):
        config.hydra = {"output_subdir": "elsewhere"}
    with pytest.raises(ConfigError, match=r"^hydra\.output_subdir=elsewhere: a run's"):
        check_keys(config)
