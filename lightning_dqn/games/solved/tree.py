"""All positions of a small game, and exact solutions over them.

Shapes: P positions, A actions. A position is a state as the player to move sees it, so that the
same board reached by either player counts once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lightning_dqn.games.game import Game

NO_POSITION = -1


class Result(NamedTuple):
    """How often a game is won, lost and drawn; the three add up to 1."""

    win: float
    loss: float
    draw: float

    def value(self, win: float, draw: float, loss: float) -> float:
        """Return the mean reward."""
        return self.win * win + self.draw * draw + self.loss * loss


@dataclass(frozen=True)
class GameTree:
    """Every position that legal moves reach, in the order of the moves made.

    Attributes:
        game: the rules.
        state: [P, ...]; the first is the beginning.
        legal: bool[P, A].
        following: int64[P, A], the position after each legal move, -1 elsewhere.
        is_over: bool[P].
        score: int8[P], see :class:`lightning_dqn.games.game.Outcome`.
        plies: slices of positions after 0, 1, 2, ... moves.
        keys: uint64[P], a number for each state, rising.
        by_key: int64[P], the position of each key.
    """

    game: Game
    state: np.ndarray
    legal: np.ndarray
    following: np.ndarray
    is_over: np.ndarray
    score: np.ndarray
    plies: tuple[slice, ...]
    keys: np.ndarray
    by_key: np.ndarray

    @classmethod
    def of(cls, game: Game, most_positions: int = 500_000) -> GameTree:
        """Find all positions of ``game``.

        Raises:
            ValueError: there are more than ``most_positions``.
        """
        levels, following, plies = [game.initial_state(1)], [], []
        first = 0
        while len(levels[-1]):
            state = levels[-1]
            plies.append(slice(first, first + len(state)))
            first += len(state)
            parent, action = np.nonzero(game.legal_moves(state))
            children, place = _unique(game.apply(state[parent], action))
            if first + len(children) > most_positions:
                raise ValueError(
                    f"{game.name} has more than {most_positions:,} positions: too many to solve"
                )
            after = np.full((len(state), game.num_actions), NO_POSITION)
            after[parent, action] = first + place
            following.append(after)
            levels.append(children)
        states = np.concatenate(levels)
        is_over, score = game.outcome(states)
        keys = _keys(states)
        by_key = keys.argsort()
        return cls(
            game=game,
            state=states,
            legal=game.legal_moves(states),
            following=np.concatenate(following),
            is_over=is_over,
            score=score,
            plies=tuple(plies),
            keys=keys[by_key],
            by_key=by_key,
        )

    def __len__(self) -> int:
        return len(self.state)

    def position_of(self, state: np.ndarray) -> np.ndarray:
        """Return the positions of boards [M, ...], int64[M].

        Raises:
            ValueError: a board can't be reached by legal moves.
        """
        own = state.astype(self.state.dtype, copy=False)  # by whose bytes keys are
        place = np.searchsorted(self.keys, _keys(own)).clip(max=len(self) - 1)
        position = self.by_key[place]
        same = np.equal(self.state[position], state)
        found = same.reshape(len(state), -1).all(axis=1)
        if not found.all():
            board = self.game.board(state[~found][:1])[0].tolist()
            raise ValueError(f"no legal moves of {self.game.name} lead to the board {board}")
        return position

    def self_play_values(self, gamma: float = -1.0) -> np.ndarray:
        """Return Q* for both players at their best, float64[P, A]; NaN where a move isn't legal.

        A win is worth 1, a draw 0, a loss -1.

        Args:
            gamma: discount of one move, negative since the next state is the other's.
        """
        value = self.score.astype(np.float64)
        q_values = np.full(self.legal.shape, np.nan)
        for ply in reversed(self.plies):
            q = np.where(self.following[ply] < 0, np.nan, 0.0)
            q += self._after(ply, gamma * value * ~self.is_over - value * self.is_over)
            q_values[ply] = q
            goes_on = ~self.is_over[ply]
            value[ply] = np.where(goes_on, _best(q), value[ply])
        return q_values

    def values_against(
        self, opponent: np.ndarray, rewards: tuple[float, float, float], gamma: float = 1.0
    ) -> np.ndarray:
        """Return Q* against a fixed opponent, float64[P, A]; NaN where a move isn't legal.

        Args:
            opponent: float64[P, A], how likely it makes each move in each position.
            rewards: of a win, a draw and a loss.
            gamma: discount of one move and the answer to it.
        """
        win, draw, loss = rewards
        end = np.select([self.score > 0, self.score < 0], [win, loss], draw)
        turned_end = np.select([self.score > 0, self.score < 0], [loss, win], draw)
        best = np.zeros(len(self))  # of the learner to move
        answered = np.zeros(len(self))  # of the opponent to move, to the learner
        q_values = np.full(self.legal.shape, np.nan)
        for ply in reversed(self.plies):
            mine = np.where(self.is_over, turned_end, answered)
            q_values[ply] = np.where(self.following[ply] < 0, np.nan, self._after(ply, mine))
            best[ply] = np.where(self.is_over[ply], 0.0, _best(q_values[ply]))
            reply = np.where(self.is_over, end, gamma * best)
            answered[ply] = (opponent[ply] * self._after(ply, reply)).sum(axis=1)
        return q_values

    def play(self, first: np.ndarray, second: np.ndarray) -> Result:
        """Return how a game between two policies ends, exactly, for the first player.

        Args:
            first: float64[P, A], how likely the player who begins makes each move.
            second: likewise of the other.
        """
        reached = np.zeros(len(self))
        reached[0] = 1.0
        win = loss = draw = 0.0
        for number, ply in enumerate(self.plies):
            policy, sign = (first, 1) if number % 2 == 0 else (second, -1)
            ended = reached[ply] * self.is_over[ply]
            score = sign * self.score[ply]
            win += float(ended[score > 0].sum())
            loss += float(ended[score < 0].sum())
            draw += float(ended[score == 0].sum())
            flow = (reached[ply] * ~self.is_over[ply])[:, None] * policy[ply]
            goes = (self.following[ply] >= 0) & (flow > 0)
            np.add.at(reached, self.following[ply][goes], flow[goes])
        return Result(win, loss, draw)

    def reachable(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return which positions may arise, bool[P].

        Args:
            first: bool[P, A], the moves that the player who begins may make.
            second: likewise of the other.
        """
        reached = np.zeros(len(self), bool)
        reached[0] = True
        for number, ply in enumerate(self.plies):
            moves = (first if number % 2 == 0 else second)[ply] & reached[ply, None]
            following = self.following[ply][moves]
            reached[following[following >= 0]] = True
        return reached

    def random_policy(self) -> np.ndarray:
        """Return equal chances for all legal moves, float64[P, A]."""
        return self.legal / self.legal.sum(axis=1, keepdims=True).clip(1)

    def greedy_policy(self, q_values: np.ndarray, tolerance: float | None = None) -> np.ndarray:
        """Return the policy that makes the best legal move, float64[P, A].

        Args:
            q_values: float[P, A].
            tolerance: moves within this of the best are equally likely; None takes the first
                of the best alone.
        """
        q_values = np.where(self.legal, q_values, -np.inf)
        if tolerance is None:
            policy = np.zeros(self.legal.shape)
            policy[np.arange(len(self)), q_values.argmax(axis=1)] = 1.0
            return policy * self.legal
        chosen = (q_values >= q_values.max(axis=1, keepdims=True) - tolerance) & self.legal
        return chosen / chosen.sum(axis=1, keepdims=True).clip(1)

    def winning_moves(self) -> np.ndarray:
        """Return the moves that win at once, bool[P, A]."""
        return self._after(slice(None), (self.is_over & (self.score < 0)).astype(float)) > 0

    def blocking_moves(self) -> np.ndarray:
        """Return the moves after which the other can't win at once, bool[P, A].

        Only where that must be thought of: another move would leave such a win, and no move wins.
        Against two threats nothing helps, so that there is nothing to miss.
        """
        wins = self.winning_moves()
        is_lost = self._after(slice(None), wins.any(axis=1).astype(float)) > 0
        needed = is_lost.any(axis=1, keepdims=True) & ~wins.any(axis=1, keepdims=True)
        return self.legal & ~is_lost & needed

    def _after(self, ply: slice, value: np.ndarray) -> np.ndarray:
        """Return float64[p, A], ``value`` float64[P] of the position after each move, or 0."""
        following = self.following[ply]
        return np.where(following >= 0, value[following], 0.0)


def _unique(state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the different states, and for each of ``state`` its place among them."""
    _, index, inverse = np.unique(_keys(state), return_index=True, return_inverse=True)
    # Two states of one key would be a wonder, but a silent one.
    assert np.array_equal(state, state[index][inverse]), "two states have the same key"
    return state[index], inverse.reshape(-1)


def _keys(state: np.ndarray) -> np.ndarray:
    """Return a number for each state, uint64[M]: its bytes weighted by fixed random numbers."""
    flat = np.ascontiguousarray(state).reshape(len(state), math.prod(state.shape[1:]))
    words = flat.view(np.uint64 if flat.dtype.itemsize == 8 else np.uint8).astype(np.uint64)
    weights = np.random.default_rng(0).integers(2**64, size=words.shape[1], dtype=np.uint64)
    with np.errstate(over="ignore"):
        return (words * (weights | np.uint64(1))).sum(axis=1, dtype=np.uint64)


def _best(q_values: np.ndarray) -> np.ndarray:
    """Return the largest legal value, float64[p]; 0 where no move is legal."""
    best = np.where(np.isnan(q_values), -np.inf, q_values).max(axis=1)
    return np.where(np.isfinite(best), best, 0.0)
