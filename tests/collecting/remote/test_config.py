"""What is refused before Ray begins, and what actors import."""

from __future__ import annotations

import builtins
import subprocess
import sys

import pytest
from support.scripted_env import episodes, scripted_vector

from lightning_dqn import EnvironmentFactory
from lightning_dqn.collecting.remote.config import RayCollectionConfig
from lightning_dqn.system.faults import RunFault

PACE = {"warmup_env_steps": 0, "env_steps_per_iteration": 4, "seed": 0}

IMPORTED_BY_ACTORS = """
import sys
import lightning_dqn.agent, lightning_dqn.collecting.remote.actor
print([name for name in ("pytorch_lightning", "lightning", "torchmetrics", "wandb", "hydra", "ray")
       if name in sys.modules])
"""


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_actors", 0),
        ("warmup_env_steps", -1),
        ("block_rows", 0),
        ("blocks_ahead", 0),
        ("weights_every_n_iterations", 0),
        ("max_actor_restarts", -1),
        ("apex_alpha", -1.0),
        ("call_timeout", 0.0),
        ("epsilon", 1.5),
    ],
)
def test_a_setting_that_means_nothing_is_refused_by_name(key, value):
    with pytest.raises(ValueError, match=f"{key}="):
        RayCollectionConfig(**{key: value})


def test_environments_that_cannot_be_parted_are_refused_with_a_number_that_can():
    environment = EnvironmentFactory("CartPole-v1", num_envs=8)
    with pytest.raises(ValueError, match=r"num_envs=8: can't be parted among 3 .* set it to 9"):
        RayCollectionConfig(num_actors=3).make(environment, **PACE)


def test_a_vector_env_of_this_process_is_refused():
    environment = scripted_vector([episodes(3)] * 2)
    with pytest.raises(ValueError, match="lives in this process"):
        RayCollectionConfig().make(EnvironmentFactory(environment), **PACE)
    environment.close()


def test_without_ray_the_extra_is_named(monkeypatch):
    def without_ray(name, *arguments, **named):
        if name == "ray":
            raise ImportError(name)
        return imported(name, *arguments, **named)

    imported = builtins.__import__
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setattr(builtins, "__import__", without_ray)
    with pytest.raises(RunFault, match=r"pip install 'lightning-dqn\[ray\]'"):
        RayCollectionConfig().make(EnvironmentFactory("CartPole-v1"), **PACE)


def test_what_actors_import_is_free_of_lightning_and_ray():
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED_BY_ACTORS], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_rows_are_older_than_the_weights_unless_it_is_synchronous():
    assert RayCollectionConfig().overlap
    assert not RayCollectionConfig(synchronous=True).overlap
