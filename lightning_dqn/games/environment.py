"""Board games as vector environments: the learner plays both sides, or against an opponent.

Shapes: E boards, A actions.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from lightning_dqn.games.game import Game
from lightning_dqn.games.opponents.choice import opponent_of
from lightning_dqn.games.opponents.opponent import Opponent
from lightning_dqn.games.opponents.random import RandomOpponent
from lightning_dqn.games.rendering import render_image, render_text
from lightning_dqn.games.rules import check_rules
from lightning_dqn.system.numbers import finite_number, whole_number

Seat = Literal["first", "second", "random"]
FIRST, SECOND = 0, 1

_OF_BOARDS = ("state", "moves", "learner_seat", "symmetry", "ended")


class Rewards(NamedTuple):
    """What the end of a game is worth to the learner; every other move gives 0."""

    win: float = 1.0
    draw: float = 0.0
    loss: float = -1.0


class BoardGameVectorEnv(VectorEnv):
    """Plays ``num_envs`` boards of a game at once, in NEXT_STEP mode.

    Without an opponent the learner plays both sides: what it observes after its move is the board
    as the other player sees it, so the next state's value counts against it and the discount is
    negative (``metadata["zero_sum_turns"]``). With an opponent a step is the learner's move and
    the answer to it.

    ``info`` holds ``action_mask``, bool[E, A], the legal moves (none after the end), and
    ``seat``, int8[E], 0 where the player to move is the one who began.

    Args:
        game: the rules.
        num_envs: E.
        opponent: None for self-play; ``"random"``, ``"perfect"``, or an :class:`Opponent`.
        seat: which side the learner has against an opponent; ``"random"`` draws it anew in
            each game. In self-play it has both.
        rewards: of a win, a draw and a loss. In self-play what one wins the other must lose.
        random_plies: up to so many moves at the beginning of each game are random and not the
            learner's, so that it learns to go on from openings that it would not choose.
        random_symmetry: show each game mirrored and turned at random, so that the learner sees
            all symmetric positions equally often.
        render_mode: ``"ansi"`` or ``"rgb_array"``.

    Raises:
        ValueError: an argument isn't one of these, or a move isn't legal.
    """

    def __init__(
        self,
        game: Game,
        num_envs: int = 1,
        *,
        opponent: Opponent | str | None = None,
        seat: Seat = "random",
        rewards: tuple[float, float, float] = Rewards(),
        random_plies: int = 0,
        random_symmetry: bool = False,
        render_mode: Literal["ansi", "rgb_array"] | None = None,
    ) -> None:
        if seat not in ("first", "second", "random"):
            raise ValueError(f"seat={seat!r}: choose first, second or random")
        if render_mode not in (None, "ansi", "rgb_array"):
            raise ValueError(f"render_mode={render_mode!r}: choose ansi or rgb_array")
        if not type(game).__module__.startswith("lightning_dqn."):
            check_rules(game)
        self.game = game
        self.num_envs = num_envs
        self.opponent = None if opponent is None else opponent_of(opponent, game)
        self.seat = seat
        self.rewards = Rewards(*(finite_number("rewards", reward) for reward in rewards))
        self.random_plies = whole_number("random_plies", random_plies)
        self.random_symmetry = random_symmetry
        self.render_mode = render_mode
        if self.opponent is None and (self.rewards.draw or self.rewards.win != -self.rewards.loss):
            raise ValueError(
                f"rewards={list(self.rewards)}: in self-play a draw must be worth 0 and a loss as "
                "much as a win costs the other; choose an opponent to learn with other rewards"
            )
        if self.opponent is None and seat != "random":
            raise ValueError(
                f"seat={seat}: in self-play the learner has both sides; choose an opponent, or "
                "leave seat out"
            )
        self.metadata = {
            "autoreset_mode": AutoresetMode.NEXT_STEP,
            "zero_sum_turns": self.opponent is None,
            "game": game.name,
            "render_modes": ["ansi", "rgb_array"],
            "render_fps": 2,
        }
        self.single_observation_space = game.observation_space
        self.single_action_space = gym.spaces.Discrete(game.num_actions)
        batch = gym.vector.utils.batch_space
        self.observation_space = batch(self.single_observation_space, num_envs)
        self.action_space = batch(self.single_action_space, num_envs)
        self._reward_of_score = np.array([self.rewards.draw, self.rewards.win, self.rewards.loss])
        self._boards = np.arange(num_envs)
        self._dtype = _dtype_of_boards(game)
        self._state = self._new_boards(num_envs)
        self._moves = np.zeros(num_envs, np.int64)
        self._learner_seat = np.zeros(num_envs, np.int64)
        self._symmetry = np.zeros(num_envs, np.int64)
        self._ended = np.zeros(num_envs, bool)
        self._legal = game.legal_moves(self._state)

    @property
    def state(self) -> np.ndarray:
        """The boards as the player to move sees them."""
        return self._state

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin a new game on every board."""
        super().reset(seed=seed[0] if isinstance(seed, list) else seed)
        self._begin(np.ones(self.num_envs, bool))
        self._ended = np.zeros(self.num_envs, bool)
        self._legal = self.game.legal_moves(self._state)
        return self._observation(), self._info()

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Make a move on every board, and the opponent's after it.

        Args:
            actions: int64[E]; where the last call ended a game a new one begins instead.

        Raises:
            ValueError: a move isn't legal.
        """
        begins, plays = self._ended, ~self._ended
        shown = np.asarray(actions)
        actions = self._as_on_board(shown)
        self._check_legal(shown, actions, plays)
        reward = np.zeros(self.num_envs)
        if np.count_nonzero(begins):
            self._ended = begins.copy()
            self._play(np.flatnonzero(plays), actions[plays], reward)
            self._begin(begins)
            self._ended &= plays
        else:
            self._play(slice(None), actions, reward)
        self._legal = self.game.legal_moves(self._state)
        truncated = np.zeros(self.num_envs, bool)
        return self._observation(), reward, self._ended.copy(), truncated, self._info()

    def render(self) -> tuple[Any, ...] | None:
        """Return each board as text or as an image uint8[H, W, 3]."""
        if self.render_mode is None:
            return None
        second_to_move = self._seat_to_move() == SECOND
        boards = self.game.board(self._state) * np.where(second_to_move, -1, 1)[:, None, None]
        show = render_text if self.render_mode == "ansi" else render_image
        return tuple(show(board) for board in boards)

    def state_dict(self) -> dict[str, Any]:
        """Return the boards and the generator, as plain values; an opponent keeps its own."""
        boards = {name: getattr(self, f"_{name}").tolist() for name in _OF_BOARDS}
        return {**boards, "generator": self.np_random.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` gave."""
        for name in _OF_BOARDS:
            existing = getattr(self, f"_{name}")
            setattr(self, f"_{name}", np.array(state[name], existing.dtype))
        self._legal = self.game.legal_moves(self._state)
        self.np_random.bit_generator.state = state["generator"]

    # --- inner parts; `where` is a slice or the numbers of boards

    def _play(self, where: slice | np.ndarray, actions: np.ndarray, reward: np.ndarray) -> None:
        state = self.game.apply(self._state[where], actions)
        self._moves[where] += 1
        is_over, score = self.game.outcome(state)
        # The board has been turned round: the mover's score is the other's negative.
        reward[where] = np.where(is_over, self._reward_of_score[-score], 0.0)
        if self.opponent is not None and not is_over.all():
            goes_on = ~is_over
            answered = self._answer(state[goes_on])
            boards = self._boards[where][goes_on]
            self._moves[boards] += 1
            state[goes_on] = answered
            is_over[goes_on], score = self.game.outcome(answered)
            reward[boards] = np.where(is_over[goes_on], self._reward_of_score[score], 0.0)
        self._state[where] = state
        self._ended[where] = is_over

    def _answer(self, state: np.ndarray) -> np.ndarray:
        assert self.opponent is not None
        action = self.opponent.act(self.game, state, self.np_random)
        return self.game.apply(state, action)

    def _begin(self, begins: np.ndarray) -> None:
        """Begin new games where ``begins``, bool[E], up to the learner's first move."""
        count = int(np.count_nonzero(begins))
        state, moves = self._opening(count)
        if self.opponent is None:
            seat = moves & 1
        else:
            seat = self._draw_seats(count)
            self._let_opponent_begin(state, moves, seat)
        self._state[begins], self._moves[begins], self._learner_seat[begins] = state, moves, seat
        if self.random_symmetry:
            number = len(self.game.symmetry_actions)
            self._symmetry[begins] = self.np_random.integers(number, size=count)

    def _let_opponent_begin(self, state: np.ndarray, moves: np.ndarray, seat: np.ndarray) -> None:
        """Answer, in place, the openings after which it isn't the learner's turn."""
        waits = (moves & 1) != seat
        if not waits.any():
            return
        state[waits] = self._answer(state[waits])
        moves[waits] += 1
        lost = self.game.outcome(state).is_over
        # An opening that the opponent's answer ends is none: begin with that answer alone.
        state[lost], moves[lost] = self._new_boards(int(lost.sum())), 0
        behind = lost & (seat == SECOND)
        if behind.any():
            state[behind] = self._answer(state[behind])
            moves[behind] = 1

    def _opening(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return boards after random moves, and how many, int64[count]; none of them is over."""
        state, moves = self._new_boards(count), np.zeros(count, np.int64)
        if self.random_plies == 0:
            return state, moves
        wanted = self.np_random.integers(self.random_plies + 1, size=count)
        for ply in range(self.random_plies):
            following = self.game.apply(
                state, RandomOpponent().act(self.game, state, self.np_random)
            )
            goes_on = (moves == ply) & (wanted > ply) & ~self.game.outcome(following).is_over
            state[goes_on], moves[goes_on] = following[goes_on], ply + 1
        return state, moves

    def _new_boards(self, count: int) -> np.ndarray:
        """Return boards before the first move, which may be written to."""
        return np.array(self.game.initial_state(count), self._dtype)

    def _draw_seats(self, count: int) -> np.ndarray:
        if self.seat == "random":
            return self.np_random.integers(2, size=count)
        return np.full(count, FIRST if self.seat == "first" else SECOND)

    def _as_on_board(self, actions: np.ndarray) -> np.ndarray:
        """Return the moves as they are on the boards that aren't shown mirrored or turned."""
        if not self.random_symmetry:
            return actions
        shown = self.game.symmetry_actions[self._symmetry]
        return (shown == actions[:, None]).argmax(axis=1)

    def _check_legal(self, shown: np.ndarray, actions: np.ndarray, plays: np.ndarray) -> None:
        """Refuse moves, in the learner's own numbers: as they are shown, not as on the board."""
        is_wrong = (shown < 0) | (shown >= self.game.num_actions)
        is_legal = self._legal[self._boards, np.where(is_wrong, 0, actions)]
        is_wrong = (is_wrong | ~is_legal) & plays
        if np.count_nonzero(is_wrong):  # quicker than any() on few boards
            board = int(is_wrong.argmax())
            legal = ", ".join(map(str, np.flatnonzero(self._legal_as_shown()[board])))
            raise ValueError(
                f"{self.game.name}, board {board}: {shown[board]} isn't a legal move; legal are "
                f"{legal}. Choose among info['action_mask']"
            )

    def _seat_to_move(self) -> np.ndarray:
        return (self._moves & 1).astype(np.int8)

    def _observation(self) -> np.ndarray:
        state = self._state
        if self.random_symmetry:
            state = self.game.transform(state, self._symmetry)
        observation = self.game.encode(state)
        # Boards are written in place, and what was returned must stay as it was.
        return observation.copy() if np.may_share_memory(observation, self._state) else observation

    def _legal_as_shown(self) -> np.ndarray:
        if not self.random_symmetry:
            return self._legal
        legal = np.empty_like(self._legal)
        shown = self.game.symmetry_actions[self._symmetry]
        np.put_along_axis(legal, shown, self._legal, axis=1)
        return legal

    def _info(self) -> dict[str, Any]:
        mask = self._legal_as_shown()
        mask = mask.copy() if mask is self._legal else mask
        return {"action_mask": mask, "seat": self._seat_to_move()}


def _dtype_of_boards(game: Game) -> np.dtype[Any]:
    """Return the type that holds boards before the first move, and those after it."""
    first = np.array(game.initial_state(1))
    action = game.legal_moves(first).argmax(axis=1)
    return np.result_type(first, game.apply(first, action))
