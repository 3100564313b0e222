"""TorchRL's DQN parts in its usual loop: collector, replay buffer, DQN loss, hard update; eager."""
# ruff: noqa: E402 - the imports are timed.

import time

STARTED = time.perf_counter()

import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictSequential
from torchrl.collectors import Collector
from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer
from torchrl.envs import GymEnv, RewardSum, TransformedEnv
from torchrl.modules import MLP, EGreedyModule, QValueActor
from torchrl.objectives import DQNLoss, HardUpdate
from work_unit import WORK_UNIT, Result, argument_parser, last_100_return

IMPORTED = time.perf_counter()


class Learner:
    """Q-network, DQN loss, optimizer and target update."""

    def __init__(self, env: TransformedEnv) -> None:
        """Build everything with the work unit's constants."""
        network = MLP(
            in_features=4,
            out_features=2,
            num_cells=list(WORK_UNIT.hidden_sizes),
            activation_class=torch.nn.ReLU,
        )
        self.actor = QValueActor(network, in_keys=["observation"], spec=env.action_spec)
        self._loss = DQNLoss(self.actor, loss_function="l2", action_space=env.action_spec)
        self._loss.make_value_estimator(gamma=WORK_UNIT.gamma)
        self._target = HardUpdate(
            self._loss, value_network_update_interval=WORK_UNIT.target_every_n_updates
        )
        self._optimizer = torch.optim.Adam(self._loss.parameters(), lr=WORK_UNIT.learning_rate)
        self.num_updates = 0

    def update(self, batch: TensorDict) -> None:
        """Take one optimizer step and, when due, copy the target network."""
        loss = self._loss(batch)["loss"]
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        self._target.step()
        self.num_updates += 1


def build_collector(env: TransformedEnv, actor: QValueActor) -> tuple[Collector, EGreedyModule]:
    """Build the collector and the exploration module inside its policy."""
    exploration = EGreedyModule(
        env.action_spec,
        eps_init=WORK_UNIT.epsilon_start,
        eps_end=WORK_UNIT.epsilon_end,
        annealing_num_steps=WORK_UNIT.epsilon_decay_env_steps,
    )
    collector = Collector(
        env,
        TensorDictSequential(actor, exploration),
        frames_per_batch=WORK_UNIT.env_steps_per_update,
        total_frames=WORK_UNIT.env_steps,
        init_random_frames=WORK_UNIT.warmup_env_steps,
        auto_register_policy_transforms=False,
    )
    return collector, exploration


def finished_returns(frames: TensorDict) -> list[float]:
    """Return the returns of the episodes that end within `frames`."""
    ended = frames["next", "done"].flatten()
    return frames["next", "episode_reward"].flatten()[ended].tolist()


def main() -> None:
    """Run the work unit and print its result."""
    seed = argument_parser().parse_args().seed
    torch.manual_seed(seed)
    env = TransformedEnv(GymEnv(WORK_UNIT.env_id, categorical_action_encoding=True), RewardSum())
    env.set_seed(seed)
    learner = Learner(env)
    collector, exploration = build_collector(env, learner.actor)
    replay = TensorDictReplayBuffer(
        storage=LazyTensorStorage(WORK_UNIT.replay_capacity), batch_size=WORK_UNIT.batch_size
    )
    env_steps, episode_returns, learning_started = 0, [], 0.0
    for frames in collector:
        env_steps += frames.numel()
        exploration.step(frames.numel())
        episode_returns += finished_returns(frames)
        replay.extend(frames)
        if env_steps > WORK_UNIT.warmup_env_steps:
            learner.update(replay.sample())
        elif env_steps == WORK_UNIT.warmup_env_steps:
            learning_started = time.perf_counter()
    learning_s = time.perf_counter() - learning_started
    Result(
        name="torchrl_dqn",
        imports_s=IMPORTED - STARTED,
        warmup_s=learning_started - IMPORTED,
        learning_s=learning_s,
        env_steps=env_steps,
        updates=learner.num_updates,
        last_100_return=last_100_return(episode_returns),
    ).print_json()
    collector.shutdown()


if __name__ == "__main__":
    main()
