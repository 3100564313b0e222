"""All positions of tic-tac-toe, with numbers known from elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from support.nim_game import Nim
from support.scripted_opponent import LowestMove

from lightning_dqn.games.connect_four import ConnectFour
from lightning_dqn.games.solved.tree import GameTree
from lightning_dqn.games.tictactoe import TicTacToe

REWARDS = (100.0, -10.0, -100.0)


@pytest.fixture(scope="module")
def tree() -> GameTree:
    return GameTree.of(TicTacToe())


def position(tree: GameTree, board: str) -> int:
    """Return the position of a board such as ``"XO. ... ..."``, X to move if both have as many."""
    cells = [cell for cell in board if cell != " "]
    own, other = ("X", "O") if cells.count("X") == cells.count("O") else ("O", "X")
    bits = [sum(1 << i for i, cell in enumerate(cells) if cell == who) for who in (own, other)]
    return int(tree.position_of(np.array([bits]))[0])


def test_it_holds_as_many_positions_as_are_known(tree: GameTree) -> None:
    assert len(tree) == 5_478
    assert (~tree.is_over).sum() == 4_520
    assert [ply.stop - ply.start for ply in tree.plies] == [
        1, 9, 72, 252, 756, 1260, 1520, 1140, 390, 78,
    ]  # fmt: skip


def test_each_board_is_found_again(tree: GameTree) -> None:
    order = np.random.default_rng(0).permutation(len(tree))
    assert (tree.position_of(tree.state[order]) == order).all()


def test_a_board_that_cannot_be_reached_is_refused(tree: GameTree) -> None:
    with pytest.raises(ValueError, match=r"no legal moves of tictactoe lead to .*1, 1, 1"):
        tree.position_of(np.array([[0, 0], [0b111, 0]]))


def test_following_positions_are_those_after_the_moves(tree: GameTree) -> None:
    parent, action = np.nonzero(tree.legal)
    after = tree.game.apply(tree.state[parent], action)
    assert (tree.state[tree.following[parent, action]] == after).all()
    assert (tree.following[~tree.legal] == -1).all()


def test_random_play_ends_as_is_known(tree: GameTree) -> None:
    result = tree.play(tree.random_policy(), tree.random_policy())
    assert result.win == pytest.approx(737 / 1260)
    assert result.loss == pytest.approx(121 / 420)
    assert result.draw == pytest.approx(8 / 63)


def test_perfect_play_draws(tree: GameTree) -> None:
    q_values = tree.self_play_values()
    assert np.nanmax(q_values[0]) == np.nanmin(q_values[0]) == 0.0
    perfect = tree.greedy_policy(q_values, 1e-9)
    assert tree.play(perfect, perfect) == pytest.approx((0.0, 0.0, 1.0))
    assert tree.play(perfect, tree.random_policy()).loss == 0.0
    assert tree.play(tree.random_policy(), perfect).win == 0.0


def test_the_optimum_against_random_moves_is_as_known(tree: GameTree) -> None:
    random = tree.random_policy()
    best = tree.greedy_policy(tree.values_against(random, REWARDS))
    first = tree.play(best, random)
    assert first == pytest.approx((0.99479, 0.0, 0.00521), abs=1e-5)
    assert first.value(*REWARDS) == pytest.approx(99.427, abs=1e-3)
    loss, win, draw = tree.play(random, best)
    assert (win, loss, draw) == pytest.approx((0.93439, 0.00952, 0.05608), abs=1e-5)
    assert 100 * win - 10 * draw - 100 * loss == pytest.approx(91.926, abs=1e-3)


def test_values_against_an_opponent_are_what_playing_them_gives(tree: GameTree) -> None:
    random = tree.random_policy()
    q_values = tree.values_against(random, REWARDS)
    best = tree.greedy_policy(q_values)
    assert np.nanmax(q_values[0]) == pytest.approx(tree.play(best, random).value(*REWARDS))
    answers = q_values[tree.following[0]]
    assert np.nanmax(answers, axis=1).mean() == pytest.approx(91.926, abs=1e-3)


def test_q_values_obey_bellmans_equation(tree: GameTree) -> None:
    """Each value is the end's, or the discounted value of the best that follows."""
    for gamma in (-1.0, -0.9):
        q_values = tree.self_play_values(gamma)
        assert np.isnan(q_values).tolist() == (~tree.legal).tolist()
        parent, action = np.nonzero(tree.legal)
        child = tree.following[parent, action]
        best = np.where(tree.legal, q_values, -np.inf).max(axis=1)
        expected = np.where(tree.is_over[child], -tree.score[child], gamma * best[child])
        np.testing.assert_allclose(q_values[parent, action], expected)


def test_discounted_values_against_an_opponent_are_averages_over_answers(tree: GameTree) -> None:
    """Checked in the plainest way: a recursion over boards."""
    random, gamma = tree.random_policy(), 0.9
    q_values = tree.values_against(random, REWARDS, gamma)

    def end(score: int) -> float:
        return {1: 100.0, 0: -10.0, -1: -100.0}[int(score)]

    def best(start: int) -> float:
        return max(value(start, a) for a in np.flatnonzero(tree.legal[start]))

    def value(start: int, action: int) -> float:
        child = tree.following[start, action]
        if tree.is_over[child]:
            return end(-tree.score[child])
        total = 0.0
        for answer in np.flatnonzero(tree.legal[child]):
            after = tree.following[child, answer]
            total += end(tree.score[after]) if tree.is_over[after] else gamma * best(after)
        return total / tree.legal[child].sum()

    for board in ("XO. .X. ..O", "X.. .O. ...", "XOX .O. .X."):
        start = position(tree, board)
        for action in np.flatnonzero(tree.legal[start]):
            assert q_values[start, action] == pytest.approx(value(start, action))


def test_winning_moves_complete_a_line(tree: GameTree) -> None:
    wins = tree.winning_moves()
    assert np.flatnonzero(wins[position(tree, "XX. OO. ...")]).tolist() == [2]
    assert np.flatnonzero(wins[position(tree, "X.X O.O XO.")]).tolist() == [1, 4]
    second_to_move = np.concatenate([np.arange(p.start, p.stop) for p in tree.plies[1::2]])
    assert wins[second_to_move].any(axis=1).sum() == 860


def test_blocking_moves_avert_a_loss(tree: GameTree) -> None:
    blocks = tree.blocking_moves()
    assert np.flatnonzero(blocks[position(tree, "XX. .O. ...")]).tolist() == [2]
    assert not blocks[position(tree, "XX. OO. ..X")].any()  # O wins instead
    assert not blocks[0].any()
    assert not blocks[position(tree, "X.X .O. O.X")].any()  # two threats: nothing helps
    second_to_move = np.concatenate([np.arange(p.start, p.stop) for p in tree.plies[1::2]])
    assert blocks[second_to_move].any(axis=1).sum() == 580


def test_the_perfect_player_blocks_wherever_it_helps(tree: GameTree) -> None:
    needed = tree.blocking_moves().any(axis=1)
    perfect = tree.greedy_policy(tree.self_play_values(-0.9), 1e-9) > 0
    assert (tree.blocking_moves() | ~perfect)[needed].all()


def test_greedy_policies_take_the_first_or_share(tree: GameTree) -> None:
    q_values = np.zeros(tree.legal.shape)
    start = position(tree, "XO. ... ...")
    assert tree.greedy_policy(q_values)[start].tolist() == [0, 0, 1, 0, 0, 0, 0, 0, 0]
    q_values[start, [0, 3, 4]] = [9.0, 1.0, 0.95]
    assert tree.greedy_policy(q_values, 0.1)[start].tolist() == [0, 0, 0, 0.5, 0.5, 0, 0, 0, 0]
    assert (tree.greedy_policy(q_values).sum(axis=1) == ~tree.is_over).all()


def test_what_may_arise_depends_on_what_players_may_do(tree: GameTree) -> None:
    assert tree.reachable(tree.legal, tree.legal).all()
    lowest = np.zeros(tree.legal.shape, bool)
    going = np.flatnonzero(~tree.is_over)
    generator = np.random.default_rng(0)
    lowest[going, LowestMove().act(tree.game, tree.state[going], generator)] = True
    reached = tree.reachable(lowest, lowest)
    assert reached.sum() == 8  # 0, 1, 2, 3, 4, 5, 6: X wins by the seventh
    one_side = tree.reachable(tree.legal, lowest)
    assert 8 < one_side.sum() < len(tree)
    assert (one_side | ~reached).all()


def test_a_game_too_large_is_refused() -> None:
    with pytest.raises(ValueError, match="connect_four has more than 1,000 positions"):
        GameTree.of(ConnectFour(), most_positions=1_000)
    assert len(GameTree.of(TicTacToe(), most_positions=5_478)) == 5_478
    with pytest.raises(ValueError, match="more than 5,477"):
        GameTree.of(TicTacToe(), most_positions=5_477)


@pytest.mark.parametrize("encoding", ["planes", "index"])
def test_the_tree_does_not_depend_on_what_is_observed(encoding: str, tree: GameTree) -> None:
    other = GameTree.of(TicTacToe(encoding))  # type: ignore[arg-type]
    assert (other.state == tree.state).all()


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.float32])
def test_boards_are_found_whatever_type_they_are_of(dtype: type) -> None:
    tree = GameTree.of(Nim())
    position = tree.position_of(tree.state.astype(dtype))
    assert (tree.state[position] == tree.state).all()
