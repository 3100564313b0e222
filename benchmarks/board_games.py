"""Print how many moves a second board games make, 1, 64 and 4,096 boards at a time.

    python benchmarks/board_games.py
    python benchmarks/board_games.py --python other-venv/bin/python --games tictactoe

Contestants that are not installed are named and left out
(`pip install "pettingzoo[classic]" open_spiel envpool`). All play uniformly random legal moves in
one process, each on one thread, and take turns of about the same number of moves; medians over the
turns are printed, ratios compare within a turn. Seconds are the processor's, for the whole process:
turns differ in length by a hundred times, so that other programs would disturb some contestants
more than others. `--clock wall` measures by the wall clock. EnvPool's two threads work in turns;
waiting without sleep counts for both, which only shows with one board.

A move is a piece put on a board, an opponent's too; a step that only begins a new game takes time
but isn't counted. After every move there is what a learner needs: observation, reward, termination
and legal moves. They stay as the contestant gives them: the programs with one object per board are
spared gathering them into arrays.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
from contestant_run import environment
from contestant_turns import positive, say
from text_table import format_table, ratio_text

from lightning_dqn.games.connect_four import ConnectFour
from lightning_dqn.games.environment import BoardGameVectorEnv
from lightning_dqn.games.game import Game
from lightning_dqn.games.opponents.random import RandomOpponent
from lightning_dqn.games.tictactoe import TicTacToe

GAMES: dict[str, type[Game]] = {"tictactoe": TicTacToe, "connect_four": ConnectFour}
MOVES_PER_TURN = 2_000
STEPS_PER_TURN = 5
"""A turn has both at least, so that many boards make several steps."""

CLOCKS: dict[str, Callable[[], float]] = {"cpu": time.process_time, "wall": time.perf_counter}
REFERENCE = "ours, both sides"
FLOOR = {"arrays": "choosing alone, arrays", "loop": "choosing alone, a loop"}


def choose_one(legal: Sequence) -> int:
    """Return a random legal move of one board: draw until it is one."""
    action = int(random.random() * len(legal))
    while not legal[action]:
        action = int(random.random() * len(legal))
    return action


class Choice:
    """Random legal moves for boards in arrays, looked up in a table; one board as in a loop."""

    def __init__(self, num_actions: int, dtype: type = np.int64) -> None:
        self.random = np.random.default_rng(0)
        self.weights = np.float32(2) ** np.arange(num_actions, dtype=np.float32)
        self.table = np.zeros((2**num_actions, num_actions), dtype)
        self.count = np.zeros(2**num_actions)
        for code in range(2**num_actions):
            legal = [action for action in range(num_actions) if code >> action & 1]
            self.table[code, : len(legal)] = legal
            self.count[code] = len(legal)

    def __call__(self, legal: np.ndarray) -> np.ndarray:
        """Return a move for each row of bool[E, A], 0 where none is legal."""
        if len(legal) == 1:
            row = legal[0].tolist()
            return np.array([choose_one(row) if True in row else 0], self.table.dtype)
        code = (legal @ self.weights).astype(np.intp)
        column = (self.random.random(len(legal)) * self.count[code]).astype(np.intp)
        return self.table[code, column]


class Contestant(Protocol):
    """Plays ``num_boards`` boards and keeps them between the turns.

    Attributes:
        choosing: how it chooses moves, a key of ``FLOOR``.
    """

    choosing: str

    def play(self, num_moves: int) -> int:
        """Make so many moves or a few more; return how many."""


class Ours:
    """`BoardGameVectorEnv`: the learner has both sides, or a random opponent answers."""

    choosing = "arrays"

    def __init__(self, name: str, num_boards: int, *, opponent: bool = False) -> None:
        game = GAMES[name]()
        self.opponent = CountingOpponent() if opponent else None
        self.env = BoardGameVectorEnv(game, num_boards, opponent=self.opponent)
        self.legal = self.env.reset(seed=0)[1]["action_mask"]
        self.ended = np.zeros(num_boards, bool)
        self.choose = Choice(game.num_actions)

    def play(self, num_moves: int) -> int:
        """Play."""
        made, answers_before = 0, self.answers
        while made + self.answers - answers_before < num_moves:
            made += len(self.ended) - np.count_nonzero(self.ended)
            _, _, self.ended, _, info = self.env.step(self.choose(self.legal))
            self.legal = info["action_mask"]
        return made + self.answers - answers_before

    @property
    def answers(self) -> int:
        """The opponent's moves so far."""
        return self.opponent.moves if self.opponent else 0


class CountingOpponent(RandomOpponent):
    """Our random opponent, and how many moves it has made."""

    moves = 0

    def act(self, game: Game, state: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Return random legal moves."""
        self.moves += len(state)
        return super().act(game, state, generator)


class EnvPool:
    """EnvPool's boards in C++ on one thread; it observes for both players after every move."""

    choosing = "arrays"
    tasks: ClassVar = {"tictactoe": "TicTacToe-v1", "connect_four": "ConnectFour-v1"}

    def __init__(self, name: str, num_boards: int) -> None:
        import envpool

        self.env = envpool.make(
            self.tasks[name], env_type="gymnasium", num_envs=num_boards, num_threads=1, seed=0
        )
        self.legal = self.env.reset()[1]["legal_action_mask"]
        self.ended = np.zeros(num_boards, bool)
        self.choose = Choice(GAMES[name].num_actions, np.int32)

    def play(self, num_moves: int) -> int:
        """Play."""
        made = 0
        while made < num_moves:
            made += len(self.ended) - np.count_nonzero(self.ended)
            _, _, self.ended, _, info = self.env.step(self.choose(self.legal))
            self.legal = info["legal_action_mask"]
        return made


class PettingZoo:
    """One environment in Python per board, with the wrappers it comes in or without."""

    choosing = "loop"

    def __init__(self, name: str, num_boards: int, *, wrappers: bool = True) -> None:
        if name == "tictactoe":
            from pettingzoo.classic.tictactoe import tictactoe as module
        else:
            from pettingzoo.classic.connect_four import connect_four as module
        make = module.env if wrappers else module.raw_env
        self.envs = [make() for _ in range(num_boards)]
        self.steps = [self.begin(env) for env in self.envs]

    def begin(self, env: Any) -> tuple:
        """Begin a game; return what the first player sees."""
        env.reset()
        return env.last()

    def play(self, num_moves: int) -> int:
        """Play."""
        made = 0
        while made < num_moves:
            for board, env in enumerate(self.envs):
                env.step(choose_one(self.steps[board][0]["action_mask"]))
                step = env.last()
                self.steps[board] = self.begin(env) if step[2] else step
            made += len(self.envs)
        return made


class OpenSpiel:
    """One state in C++ per board; a finished game's observation is left out."""

    choosing = "loop"
    names: ClassVar = {"tictactoe": "tic_tac_toe", "connect_four": "connect_four"}

    def __init__(self, name: str, num_boards: int) -> None:
        import pyspiel

        self.game = pyspiel.load_game(self.names[name])
        self.states = [self.game.new_initial_state() for _ in range(num_boards)]
        self.steps = [self.observe(state, 0.0, False) for state in self.states]

    def observe(self, state: Any, reward: float, terminated: bool) -> tuple:
        """Return observation, reward of the mover, termination and legal moves."""
        return state.observation_tensor(), reward, terminated, state.legal_actions_mask()

    def play(self, num_moves: int) -> int:
        """Play."""
        made = 0
        while made < num_moves:
            for board, state in enumerate(self.states):
                state.apply_action(choose_one(self.steps[board][3]))
                reward, terminated = 0.0, state.is_terminal()
                if terminated:
                    reward = state.returns()[0]
                    state = self.states[board] = self.game.new_initial_state()
                self.steps[board] = self.observe(state, reward, terminated)
            made += len(self.states)
        return made


class Choosing:
    """No game: only chooses moves, on the legal moves of games that were played before."""

    def __init__(self, name: str, num_boards: int, *, choosing: str) -> None:
        self.choosing = choosing
        player = Ours(name, num_boards)
        self.legal: list = []
        for _ in range(max(32, 512 // num_boards)):
            player.play(1)
            self.legal.append(player.legal)
        if choosing == "loop":
            self.legal = [[row for row in legal.tolist() if True in row] for legal in self.legal]
        self.choose = player.choose if choosing == "arrays" else choose_each

    def play(self, num_moves: int) -> int:
        """Choose so many moves."""
        made = 0
        while True:
            for legal in self.legal:
                self.choose(legal)
                made += len(legal)
                if made >= num_moves:
                    return made


def choose_each(legal: list) -> None:
    """Choose for one board after the other."""
    for row in legal:
        choose_one(row)


CONTESTANTS: dict[str, Callable[[str, int], Contestant]] = {
    REFERENCE: Ours,
    "ours, random opponent": lambda name, boards: Ours(name, boards, opponent=True),
    "envpool": EnvPool,
    "open_spiel": OpenSpiel,
    "pettingzoo": PettingZoo,
    "pettingzoo, no wrappers": lambda name, boards: PettingZoo(name, boards, wrappers=False),
    FLOOR["arrays"]: lambda name, boards: Choosing(name, boards, choosing="arrays"),
    FLOOR["loop"]: lambda name, boards: Choosing(name, boards, choosing="loop"),
}


def build(name: str, num_boards: int) -> tuple[dict[str, Contestant], dict[str, str]]:
    """Build the contestants that can be imported; return why the others can't."""
    built, missing = {}, {}
    for contestant, make in CONTESTANTS.items():
        try:
            built[contestant] = make(name, num_boards)
        except ImportError as error:
            missing[contestant] = str(error)
    return built, missing


def measure(
    contestants: dict[str, Contestant], num_boards: int, num_turns: int, clock: str
) -> dict[str, list[float]]:
    """Let all take turns, the first of which doesn't count; return moves per second."""
    read = CLOCKS[clock]
    num_moves = max(MOVES_PER_TURN, STEPS_PER_TURN * num_boards)
    speeds: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(num_turns + 1):
        for name, contestant in contestants.items():
            start = read()
            made = contestant.play(num_moves)
            took = read() - start
            if number:
                speeds[name].append(made / took)
    return speeds


def median_ratio(speeds: list[float], others: list[float]) -> float:
    """Return the median over the turns of one speed divided by another."""
    return statistics.median(a / b for a, b in zip(speeds, others, strict=True))


def cells(
    name: str, contestants: dict[str, Contestant], speeds: dict[str, list[float]]
) -> list[str]:
    """Return a contestant's speed, by how much ours is above it, and the share of choosing."""
    own = speeds[name]
    share = median_ratio(own, speeds[FLOOR[contestants[name].choosing]])
    ratio = ratio_text(median_ratio(speeds[REFERENCE], own))
    return [f"{statistics.median(own):,.0f}", ratio, f"{share:.0%}"]


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", help="interpreter to run all of it in; it needs torch")
    parser.add_argument("--games", nargs="+", choices=GAMES, default=list(GAMES))
    parser.add_argument("--boards", type=positive, nargs="+", default=[1, 64, 4096])
    parser.add_argument("--clock", choices=CLOCKS, default="cpu")
    parser.add_argument("--turns", type=positive, default=5)
    return parser.parse_args()


def main() -> None:
    """Measure and print a table for each game."""
    arguments = parse_arguments()
    if arguments.python or os.environ.get("OMP_NUM_THREADS") != "1":
        boards = [str(number) for number in arguments.boards]
        python = arguments.python or sys.executable
        command = [python, __file__, "--turns", str(arguments.turns), "--clock", arguments.clock]
        command += ["--games", *arguments.games, "--boards", *boards]
        sys.exit(subprocess.run(command, env=environment(1)).returncode)
    warnings.simplefilter("ignore")  # of peers about their own dependencies
    logging.disable(logging.WARNING)
    random.seed(0)
    missing: dict[str, str] = {}
    for game in arguments.games:
        rows = {name: [name] for name in CONTESTANTS}
        header = [f"{game}, moves/s"]
        for num_boards in arguments.boards:
            say(f"{game}, boards: {num_boards:,} ...")
            contestants, missing = build(game, num_boards)
            speeds = measure(contestants, num_boards, arguments.turns, arguments.clock)
            header += [f"{num_boards:,} at once", "ours / it", "choosing"]
            for name in contestants:
                rows[name] += cells(name, contestants, speeds)
        shown = [row for name, row in rows.items() if name not in missing]
        print("\n" + format_table([header, *shown]), flush=True)
    for name, reason in missing.items():
        print(f"{name}: left out, {reason}")


if __name__ == "__main__":
    main()
