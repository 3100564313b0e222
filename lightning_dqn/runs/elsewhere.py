"""What other libraries call what a key of the configuration sets, for those who type it."""

from __future__ import annotations

_EPSILON = "data.collection.epsilon"
_UPDATES = "data.env_steps_per_iteration data.updates_per_iteration"
_HARD_COPY = "callbacks/target_network=hard callbacks.target_network.every_n_env_steps"

STABLE_BASELINES3 = {
    "env": "environment.id",
    "n_envs": "environment.num_envs",
    "total_timesteps": "env_steps",
    "learning_rate": "module.optimizer.lr",
    "buffer_size": "data.replay.capacity",
    "learning_starts": "data.collection.warmup_env_steps",
    "train_freq": _UPDATES,
    "gradient_steps": _UPDATES,
    "n_steps": "data.replay.n_step",
    "target_update_interval": _HARD_COPY,
    "exploration_fraction": f"{_EPSILON}.duration",
    "exploration_initial_eps": f"{_EPSILON}.start",
    "exploration_final_eps": f"{_EPSILON}.end",
    "max_grad_norm": "module.max_gradient_norm",
    "net_arch": "module.network.hidden",
    "activation_fn": "module.network.activation",
    "optimizer_class": "module/optimizer",
    "policy": "module/network",
    "policy_kwargs": "module.network",
    "eval_freq": "data.env_steps_per_epoch",
    "n_eval_episodes": "data.evaluation.num_envs",
    "tensorboard_log": "logger=tensorboard",
    "device": "trainer",
}

CLEANRL = {
    "env_id": "environment.id",
    "target_network_frequency": _HARD_COPY,
    "start_e": f"{_EPSILON}.start",
    "end_e": f"{_EPSILON}.end",
    "train_frequency": _UPDATES,
    "cuda": "trainer",
    "torch_deterministic": "+trainer.deterministic",
    "track": "logger=wandb",
    "wandb_project_name": "logger=wandb logger.wandb.project",
    "n_atoms": "algorithm=c51 module.head.num_atoms",
    "v_min": "hints.value_range.min",
    "v_max": "hints.value_range.max",
    "num_steps": "hints.rollout_length",
    "num_minibatches": "algorithm=pqn data.sampler.minibatches",
    "update_epochs": "algorithm=pqn data.sampler.epochs",
    "q_lambda": "algorithm=pqn data.sampler.trace",
}

TIANSHOU = {
    "training_num": "environment.num_envs",
    "num_training_envs": "environment.num_envs",
    "test_num": "data.evaluation.num_envs",
    "num_test_envs": "data.evaluation.num_envs",
    "discount_factor": "data.replay.gamma",
    "estimation_step": "data.replay.n_step",
    "n_step_return_horizon": "data.replay.n_step",
    "target_update_freq": "callbacks/target_network=hard callbacks.target_network.every_n_updates",
    "is_double": "module.target.double",
    "eps_train": _EPSILON,
    "eps_training": _EPSILON,
    "eps_test": "data.evaluation.epsilon",
    "eps_inference": "data.evaluation.epsilon",
    "total_size": "data.replay.capacity",
    "max_epoch": "trainer.max_epochs",
    "step_per_epoch": "data.env_steps_per_epoch",
    "epoch_num_steps": "data.env_steps_per_epoch",
    "step_per_collect": "data.env_steps_per_iteration",
    "collection_step_num_env_steps": "data.env_steps_per_iteration",
    "update_per_step": "data.updates_per_iteration",
    "episode_per_test": "data.evaluation.episodes_per_env",
    "test_step_num_episodes": "data.evaluation.episodes_per_env",
}

DOPAMINE = {
    "update_horizon": "data.replay.n_step",
    "min_replay_history": "data.collection.warmup_env_steps",
    "update_period": _UPDATES,
    "target_update_period": _HARD_COPY,
    "epsilon_train": f"{_EPSILON}.end",
    "epsilon_decay_period": f"{_EPSILON}.duration",
    "epsilon_eval": "data.evaluation.epsilon",
    "vmax": "hints.value_range.min hints.value_range.max",
    "replay_scheme": "data/sampler",
    "num_tau_samples": "algorithm=iqn module.head.num_quantiles",
    "kappa": "algorithm=iqn module.head.huber_threshold",
    "num_iterations": "trainer.max_epochs",
    "training_steps": "data.env_steps_per_epoch",
    "evaluation_steps": "data.evaluation.episodes_per_env",
    "max_steps_per_episode": "data.evaluation.max_episode_steps",
    "max_capacity": "data.replay.capacity",
}

ELSEWHERE = {**DOPAMINE, **TIANSHOU, **CLEANRL, **STABLE_BASELINES3}
"""Argument of another library -> choices and keys that set it here, parted by blanks.

``docs/coming_from.md`` has the same in its tables, with values.
"""
