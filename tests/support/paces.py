"""A pace to ask a sampling for."""

from __future__ import annotations

from typing import Any

from lightning_dqn.replay.samplers.sampler import Pace


def asked(**changed: Any) -> Pace:
    """Return what a configuration might ask for, with these changes."""
    usual = {
        "num_envs": 6,
        "frame_stack": 1,
        "n_step": 1,
        "overlap": False,
        "capacity": 1_000,
        "batch_size": 32,
        "updates_per_iteration": 8,
        "env_steps_per_iteration": 64,
        "warmup_env_steps": 500,
    }
    return Pace(**{**usual, **changed})
