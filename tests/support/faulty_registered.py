"""``FaultyEnv`` by an id, for the command line."""

import gymnasium as gym

from support.faulty_env import FaultyEnv

gym.register("Faulty-v0", entry_point=FaultyEnv)
