"""The protocols by which the literature plays Atari: which of the choices differ, and how.

All of them see 84x84 gray pictures, each the larger of the last two of four frames in which an
action is held, and cut a game after 108,000 frames, 27,000 env steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ProtocolName = Literal["sticky", "nature", "100k"]

FRAMES_PER_STEP = 4
"""Frames for which an action is held."""
MAX_EPISODE_STEPS = 27_000
"""Env steps after which a game is cut: half an hour at 60 frames a second."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What protocols differ in.

    Attributes:
        repeat_action_probability: with which the emulator repeats the action before, each frame.
        noop_max: emulator's bound on the frames without action that begin a game: 0 to one less
            of them, drawn for each game; 0: none.
        fire: whether FIRE begins a game that has this action; it takes the place of one of them.
        life_ends: whether a lost life is told of, for learning to expect nothing after it.
        evaluation_epsilon: probability of a random action in evaluation.
        full_action_space: all 18 actions, not only those that do something in the game.
    """

    repeat_action_probability: float
    noop_max: int
    fire: bool
    life_ends: bool
    evaluation_epsilon: float
    full_action_space: bool = False


PROTOCOLS: dict[ProtocolName, Protocol] = {
    "sticky": Protocol(
        repeat_action_probability=0.25,
        noop_max=0,
        fire=False,
        life_ends=False,
        evaluation_epsilon=0.001,
    ),
    "nature": Protocol(
        repeat_action_probability=0.0,
        noop_max=31,
        fire=True,
        life_ends=True,
        evaluation_epsilon=0.05,
    ),
    "100k": Protocol(
        repeat_action_probability=0.0,
        noop_max=30,
        fire=False,
        life_ends=True,
        evaluation_epsilon=0.001,
    ),
}
"""Name -> protocol.

``sticky``: Machado et al. 2018 (arxiv.org/abs/1709.06009), as Dopamine runs it.

1. The paper takes all 18 actions, Dopamine and this the game's own: ``full_action_space`` has all.

``nature``: Mnih et al. 2015 (doi.org/10.1038/nature14236), as the NoFrameskip-v4 environments of
OpenAI Baselines run it.

1. A game begins with 1 to 30 frames without action there. Here 0 to 30 are drawn, and where there
   is FIRE it is the first of them; a draw of 0 is FIRE alone.
2. FIRE there comes after them, held for a whole step, with another step of action 2; and after
   each life. Here it is one frame, at the beginning of a game alone.
3. After a life a step without action begins the next one there. Here the game goes on with the
   action that is chosen; the stack of frames begins anew as there, in evaluation too.

``100k``: Kaiser et al. 2020 (arxiv.org/abs/1903.00374), as Dopamine's agents for 100,000 steps run
it.

1. A game begins with 0 to 29 frames without action, as in the runner behind DER and DrQ; other
   configurations draw up to 30.
2. The stack of frames begins anew with a life, as in Dopamine: with copies of its first frame,
   where there it is filled with zeros.
"""
