"""A person plays the agent in the terminal: any game, a user's own too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from lightning_dqn.games.game import Game
from lightning_dqn.games.play.strength import Valuer, move_probabilities
from lightning_dqn.games.rendering import SYMBOLS

Starts = Literal["you", "agent"]
QUIT = ("q", "quit")


class TerminalPlay:
    """Asks for moves until the person has had enough.

    Args:
        policy: values the actions; a trained module does.
        game: the rules, with the policy's encoding.
        starts: who makes the first move.
        temperature: how far the agent strays from its best moves, see
            :mod:`lightning_dqn.games.strength`.
        generator: the source of chance.
        read: asks a question and returns the answer, as ``input`` does.
        write: shows text, as ``print`` does.
    """

    def __init__(
        self,
        policy: Valuer,
        game: Game,
        *,
        starts: Starts = "you",
        temperature: float = 0.0,
        generator: np.random.Generator | None = None,
        read: Callable[[str], str] = input,
        write: Callable[[str], None] = print,
    ) -> None:
        if starts not in ("you", "agent"):
            raise ValueError(f"starts={starts!r}: choose you or agent")
        self.policy = policy
        self.game = game
        self.starts = starts
        self.temperature = temperature
        self.generator = generator or np.random.default_rng()
        self.read = read
        self.write = write

    def run(self) -> None:
        """Play games until ``q`` or the end of the input."""
        mark = SYMBOLS[1 if self.starts == "you" else -1]
        self.write(
            f"{self.game.name}: you are {mark}, {self.starts} begin{'s' * (self.starts != 'you')}. "
            "Choose a move by its number; beside it stands its value as the agent sees it. "
            "q ends."
        )
        try:
            while self._play_game():
                pass
        except (EOFError, KeyboardInterrupt):
            self.write("")

    def _play_game(self) -> bool:
        """Play one game; return whether another is wanted."""
        state = self.game.initial_state(1)
        your_turn = self.starts == "you"
        moves = 0
        while not self.game.outcome(state).is_over[0]:
            q_values = self.policy.q_values(self.game.encode(state)).cpu().numpy()
            if your_turn:
                self.write("\n" + self.position_text(state, moves, q_values[0]))
                action = self._ask(state)
                if action is None:
                    return False
            else:
                action = self._choose(state, q_values)
                self.write(f"\nThe agent plays {self.game.move_name(action)}.")
            state = self.game.apply(state, np.array([action]))
            your_turn = not your_turn
            moves += 1
        self.write("\n" + self.position_text(state, moves))
        score = int(self.game.outcome(state).score[0]) * (1 if your_turn else -1)
        self.write({1: "You win!", 0: "A draw.", -1: "The agent wins."}[score])
        return self.read("Enter begins another game, q ends: ").strip().lower() not in QUIT

    def _ask(self, state: np.ndarray) -> int | None:
        legal = np.flatnonzero(self.game.legal_moves(state)[0])
        action_of = {self.game.move_name(int(action)): int(action) for action in legal}
        while True:
            answer = self.read("Your move: ").strip()
            if answer.lower() in QUIT:
                return None
            if answer in action_of:
                return action_of[answer]
            self.write(f"{answer!r} isn't a legal move; legal are {', '.join(action_of)}. q ends.")

    def _choose(self, state: np.ndarray, q_values: np.ndarray) -> int:
        legal = self.game.legal_moves(state)
        [chance] = move_probabilities(q_values, legal, self.temperature)
        return int(self.generator.choice(len(chance), p=chance))

    def position_text(
        self, state: np.ndarray, moves: int, q_values: np.ndarray | None = None
    ) -> str:
        """Return a board [1, ...] as lines of text.

        Args:
            state: as the player to move sees it.
            moves: how many were made; X began.
            q_values: float[A], shown beside the number of each legal move; None shows neither.
        """
        board = self.game.board(state)[0] * (1 if moves % 2 == 0 else -1)
        cells = [[SYMBOLS[int(piece)] for piece in row] for row in board]
        others = []
        if q_values is not None:
            legal = np.flatnonzero(self.game.legal_moves(state)[0])
            best = q_values[legal].max()
            for action in map(int, legal):
                star = "*" if q_values[action] == best else " "
                text = f"{self.game.move_name(action)}:{q_values[action]:+.2f}{star}"
                row, column = self.game.action_cell(action, state)
                is_on_board = 0 <= row < len(cells) and 0 <= column < len(cells[row])
                if is_on_board and cells[row][column] == SYMBOLS[0]:
                    cells[row][column] = text
                else:
                    others.append(text)
        width = max(3, *(len(cell) for row in cells for cell in row))
        lines = [" ".join(cell.center(width) for cell in row).rstrip() for row in cells]
        return "\n".join(lines + (["other moves: " + " ".join(others)] if others else []))
