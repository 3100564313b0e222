"""How strong an agent plays: a dial from its best moves to random ones.

The agent draws its move from softmax(q_value / temperature) over the legal moves. At 0 it makes
its best move always, at infinity every legal move is equally likely. What a temperature is worth
is found by playing: exactly where all positions can be listed, else by games that are counted.

Shapes: P positions, M boards, A actions, T temperatures.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from torch import Tensor

from lightning_dqn.games.game import Game
from lightning_dqn.games.matches import play_both_seats
from lightning_dqn.games.opponents.random import RandomOpponent
from lightning_dqn.games.solved.tree import GameTree, Result

MOST_POSITIONS = 20_000
"""Games with no more positions than this are played out exactly."""

FINENESS = 0.008
"""Neighbours in an exact table differ by no more than this score."""

_ROUNDS = 24


class Valuer(Protocol):
    """Values all actions, as a trained module does."""

    def q_values(self, observation: np.ndarray, /) -> Tensor:
        """Return float[M, A] for observations [M, *shape]."""
        ...


class Strength(NamedTuple):
    """A temperature and the results it leads to, half of the games beginning, half answering.

    Attributes:
        temperature: in units of the Q-values; 0 is the best move always, infinity is random.
        win: share of games won against the random player; the three add up to 1.
        draw: share drawn.
        loss: share lost.
        against_perfect: the same against a perfect player, where the game could be solved.
        games: how many games were counted, None where all of them were.
    """

    temperature: float
    win: float
    draw: float
    loss: float
    against_perfect: Result | None = None
    games: int | None = None

    @property
    def score(self) -> float:
        """A win counts 1, a draw 1/2."""
        return self.win + self.draw / 2


class SampledGames(NamedTuple):
    """How a game too large to list is played instead.

    Attributes:
        games: per temperature, half of them beginning.
        seed: of the moves drawn.
        temperatures: how many, the two ends included.
    """

    games: int = 2_000
    seed: int = 0
    temperatures: int = 12


def move_probabilities(q_values: np.ndarray, legal: np.ndarray, temperature: float) -> np.ndarray:
    """Return softmax(q / temperature) over the legal moves, float64[M, A].

    At 0 the best moves share the probability, which is the limit; rows without a legal move are 0.

    Args:
        q_values: float[M, A].
        legal: bool[M, A].
        temperature: at least 0, may be infinite.

    Raises:
        ValueError: the temperature is negative or not a number.
    """
    if not temperature >= 0:
        raise ValueError(f"temperature={temperature}: 0 (best moves) or above, inf (random)")
    masked = np.where(legal, q_values.astype(np.float64), -np.inf)
    best = masked.max(axis=1, keepdims=True, initial=-np.inf)
    below = np.where(legal, masked - np.where(np.isfinite(best), best, 0.0), -np.inf)
    if temperature == 0:
        weights = (below == 0).astype(np.float64)
    else:
        weights = np.exp(np.where(legal, below, 0.0) / temperature) * legal
    return weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)


class SoftmaxPlayer:
    """Draws its moves from softmax(q_value / temperature).

    Args:
        policy: values the actions; a trained module does.
        temperature: see :func:`move_probabilities`.
    """

    def __init__(self, policy: Valuer, temperature: float) -> None:
        self.policy = policy
        self.temperature = temperature

    def act(self, game: Game, state: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Return a legal move for each board, int64[M]."""
        q_values = _values(self.policy, game.encode(state))
        chance = move_probabilities(q_values, game.legal_moves(state), self.temperature)
        limit = chance.cumsum(axis=1)
        return (generator.random((len(chance), 1)) * limit[:, -1:] < limit).argmax(axis=1)


def calibrate(policy: Valuer, game: Game, sampled: SampledGames | None = None) -> list[Strength]:
    """Return what temperatures are worth, from 0 to infinity, the score never turning back.

    A game of up to 20,000 positions is played out exactly, against the random player and against
    the perfect one; any other by ``sampled`` games against the random player.

    Args:
        policy: values the actions; a trained module does.
        game: the rules, with the encoding that the policy takes.
        sampled: how games are sampled where they must be.
    """
    tree = tree_of(game)
    if tree is None:
        return _calibrate_sampled(policy, game, sampled or SampledGames())
    return _calibrate_exactly(_values(policy, game.encode(tree.state)), tree)


def tree_of(game: Game) -> GameTree | None:
    """Return all positions of a small game, None of a large one."""
    try:
        return GameTree.of(game, most_positions=MOST_POSITIONS)
    except ValueError:
        return None


def strength_for(strengths: Sequence[Strength], score: float) -> Strength:
    """Return the strength of a score, what lies between two neighbours interpolated.

    Args:
        strengths: of :func:`calibrate`.
        score: against the random player, from 0 to 1; beyond the ends it is the end.
    """
    scores = [strength.score for strength in strengths]
    falls = scores[0] >= scores[-1]
    place = next(
        (k for k, other in enumerate(scores) if (other <= score if falls else other >= score)),
        len(scores) - 1,
    )
    if place == 0 or scores[place] == scores[place - 1]:
        return strengths[place]
    part = (score - scores[place - 1]) / (scores[place] - scores[place - 1])
    return _between(strengths[place - 1], strengths[place], min(max(part, 0.0), 1.0))


def temperature_for(strengths: Sequence[Strength], score: float) -> float:
    """Return the temperature at which the agent reaches a score against the random player.

    Args:
        strengths: of :func:`calibrate`.
        score: from 0 to 1; beyond the ends it is the end.
    """
    return strength_for(strengths, score).temperature


def value_scale(policy: Valuer, game: Game, seed: int = 0) -> float:
    """Return how large Q-values get: the 99th percentile of legal moves' absolute values."""
    tree = tree_of(game)
    states = _random_positions(game, seed) if tree is None else tree.state
    legal = game.legal_moves(states)
    q_values = np.abs(_values(policy, game.encode(states)))[legal]
    return float(max(np.quantile(q_values, 0.99), 1e-6))


# --- exactly


def _calibrate_exactly(q_values: np.ndarray, tree: GameTree) -> list[Strength]:
    random = tree.random_policy()
    perfect = tree.greedy_policy(np.nan_to_num(tree.self_play_values()), tolerance=1e-9)

    def at(temperature: float) -> Strength:
        agent = move_probabilities(q_values, tree.legal, temperature)
        against_random = _both_seats(tree, agent, random)
        return Strength(
            temperature,
            against_random.win,
            against_random.draw,
            against_random.loss,
            _both_seats(tree, agent, perfect),
        )

    return _monotone(_refined(at, _spread(q_values, tree.legal)))


def _both_seats(tree: GameTree, agent: np.ndarray, opponent: np.ndarray) -> Result:
    first, second = tree.play(agent, opponent), tree.play(opponent, agent)
    return Result(
        win=(first.win + second.loss) / 2,
        loss=(first.loss + second.win) / 2,
        draw=(first.draw + second.draw) / 2,
    )


def _refined(at: Callable[[float], Strength], spread: float) -> list[Strength]:
    """Halve the steps of spread / (spread + temperature) until neighbours are close."""
    table = {place: at(_temperature(place, spread)) for place in np.linspace(1.0, 0.0, 9)}
    for _ in range(_ROUNDS):
        places = sorted(table, reverse=True)
        wide = [
            (upper + lower) / 2
            for upper, lower in itertools.pairwise(places)
            if abs(table[upper].score - table[lower].score) > FINENESS
        ]
        if not wide:
            break
        table |= {place: at(_temperature(place, spread)) for place in wide}
    return [table[place] for place in sorted(table, reverse=True)]


def _temperature(place: float, spread: float) -> float:
    return math.inf if place == 0 else float(spread * (1 - place) / place)


def _spread(q_values: np.ndarray, legal: np.ndarray) -> float:
    """Return the typical difference between the best and the worst legal move."""
    several = legal.sum(axis=1) > 1
    high = np.where(legal, q_values, -np.inf).max(axis=1)[several]
    low = np.where(legal, q_values, np.inf).min(axis=1)[several]
    return float(max(np.median(high - low), 1e-6)) / 4


def _monotone(strengths: list[Strength]) -> list[Strength]:
    """Leave out what turns back, so that each score between the ends has one temperature."""
    sign = 1.0 if strengths[0].score >= strengths[-1].score else -1.0
    last = sign * strengths[-1].score
    kept = [strengths[0]]
    for strength in strengths[1:-1]:
        if last < sign * strength.score < sign * kept[-1].score:
            kept.append(strength)
    return [*kept, strengths[-1]]


def _between(upper: Strength, lower: Strength, part: float) -> Strength:
    """Return what lies a part of the way from ``upper`` to ``lower``, the hotter of the two.

    The temperature goes in equal steps from 0, in equal steps of 1/temperature to infinity and
    in equal ratios elsewhere.
    """
    if part in (0.0, 1.0):
        return upper if part == 0 else lower
    cold, hot = upper.temperature, lower.temperature
    if math.isinf(hot):
        temperature = cold / (1 - part) if cold else math.inf
    elif cold == 0:
        temperature = hot * part
    else:
        temperature = cold * (hot / cold) ** part
    perfect = None
    if upper.against_perfect and lower.against_perfect:
        perfect = Result(*_mix(upper.against_perfect, lower.against_perfect, part))
    win, draw, loss = _mix(upper[1:4], lower[1:4], part)
    return Strength(temperature, win, draw, loss, perfect, upper.games)


def _mix(a: Sequence[float], b: Sequence[float], part: float) -> list[float]:
    return [(1 - part) * x + part * y for x, y in zip(a, b, strict=True)]


# --- by games that are counted


def _calibrate_sampled(policy: Valuer, game: Game, sampled: SampledGames) -> list[Strength]:
    states = _random_positions(game, sampled.seed)
    spread = _spread(_values(policy, game.encode(states)), game.legal_moves(states))

    def at(temperature: float) -> Strength:
        player, generator = SoftmaxPlayer(policy, temperature), np.random.default_rng(sampled.seed)
        counted = play_both_seats(game, player, RandomOpponent(), sampled.games // 2, generator)
        games = counted.total.games
        win, draw, loss = (count / games for count in counted.total)
        return Strength(temperature, win, draw, loss, games=games)

    places = np.linspace(1.0, 0.0, sampled.temperatures)
    return _monotone([at(_temperature(place, spread)) for place in places])


def _random_positions(game: Game, seed: int, games: int = 200) -> np.ndarray:
    """Return the positions of games between random players, [P, ...], those over left out."""
    generator, player = np.random.default_rng(seed), RandomOpponent()
    state, found = game.initial_state(games), []
    while len(state):
        found.append(state)
        state = game.apply(state, player.act(game, state, generator))
        state = state[~game.outcome(state).is_over]
    return np.concatenate(found)


def _values(policy: Valuer, observation: np.ndarray) -> np.ndarray:
    return policy.q_values(observation).detach().cpu().double().numpy()
