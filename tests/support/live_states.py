"""States of a run for its dashboard, made by hand."""

import math

from lightning_dqn.live.plots import Band
from lightning_dqn.live.sheet import GOOD, PLAIN
from lightning_dqn.live.state import Glance, State


def running_state() -> State:
    """Return a run in the midst of its training, with all that can be shown."""
    state = State(
        name="cartpole",
        device="cpu",
        folder="runs/cartpole",
        phase="training",
        epoch=2,
        epochs=10,
        epoch_env_steps=(2_500, 5_000),
        env_steps=12_500,
        total_env_steps=50_000,
        updates=1_500,
        fill=0.125,
        speed=1_250.0,
        updates_speed=150.0,
        tunable={"epsilon": 0.05, "learning rate": 1e-3},
        changed=["epsilon +0.01 at env step 9,000"],
        log=["a warning", "another one"],
    )
    for step in range(200):
        row = {"train/loss": 1 / (1 + step), "rollout/episode_return": 200 * math.sin(step / 60)}
        state.history.add(row, 50 * step)
    state.history.add({"eval/episode_return": 180.0}, 5_000)
    state.history.add({"eval/episode_return": 150.0}, 10_000)
    state.bands["train/loss"] = Band([0, 10_000], [0.0, 0.1], [0.5, 0.2], [1.0, 0.4])
    picture = [[("X . ", PLAIN), ("O", GOOD)]]
    state.glance = Glance(picture, [0.5, -1.25, 3.0], [True, False, True], 12_500, 17, 16.0)
    return state
