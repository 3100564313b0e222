"""A person plays in the terminal: what is asked, shown and refused."""

import numpy as np
import pytest
import torch
from support.board_agents import taught_tictactoe, untrained, untrained_connect_four
from support.nim_game import Nim
from support.passing_game import Passing

from lightning_dqn.games.connect_four import ConnectFour
from lightning_dqn.games.play.terminal import TerminalPlay
from lightning_dqn.games.tictactoe import TicTacToe


class NimValues:
    def q_values(self, observation):
        wins = torch.as_tensor(observation)[:, :1] - torch.tensor([1.0, 2.0])
        return (wins % 3 == 0).float()


def played(policy, game, answers, **arguments) -> tuple[str, list[str]]:
    """Return what was shown, and what was asked, for a person with these answers."""
    shown, asked, left = [], [], iter(answers)

    def read(question):
        asked.append(question)
        try:
            return next(left)
        except StopIteration:
            raise EOFError from None

    TerminalPlay(policy, game, read=read, write=shown.append, **arguments).run()
    return "\n".join(shown), asked


def test_a_game_is_played_to_its_end():
    text, asked = played(taught_tictactoe(), TicTacToe(), ["5", "1", "2", "3", "4", "6", "7", "8"])
    assert "you are X, you begin" in text
    assert "The agent plays" in text
    assert any(ending in text for ending in ("You win!", "A draw.", "The agent wins."))
    assert "Enter begins another game, q ends: " in asked


def test_the_board_shows_numbers_and_values_of_the_legal_moves():
    agent, game = taught_tictactoe(), TicTacToe()
    state = game.apply(game.initial_state(1), np.array([4]))
    q_values = agent.q_values(game.encode(state)).numpy()[0]
    text = TerminalPlay(agent, game).position_text(state, 1, q_values)
    rows = [line.split() for line in text.splitlines()]
    assert rows[1][1] == "X"
    assert rows[0][0].startswith(f"1:{q_values[0]:+.2f}")
    assert text.count("*") == 1
    assert text.count(":") == 8


def test_pieces_fall_where_the_number_of_a_column_is_shown():
    agent, game = untrained_connect_four(), ConnectFour()
    state = game.apply(game.initial_state(1), np.array([2]))
    text = TerminalPlay(agent, game).position_text(state, 1, np.arange(7.0))
    rows = [line.split() for line in text.splitlines()]
    assert rows[5][2] == "X"
    assert rows[4][2] == "3:+2.00"
    assert rows[5][6] == "7:+6.00*"


def test_what_is_no_move_is_asked_again():
    text, asked = played(taught_tictactoe(), TicTacToe(), ["5", "5", "ten", "", "0", "q"])
    assert text.count("isn't a legal move") == 4
    assert asked.count("Your move: ") == 6


@pytest.mark.parametrize("answers", [[], ["q"], ["quit"], ["1"]])
def test_q_and_the_end_of_the_input_end_it(answers):
    text, _ = played(taught_tictactoe(), TicTacToe(), answers)
    assert "win" not in text


def test_the_agent_begins_if_asked_to():
    text, _ = played(taught_tictactoe(), TicTacToe(), [], starts="agent")
    assert text.index("you are O, agent begins") < text.index("The agent plays")


def test_a_game_of_the_users_own_is_played():
    text, _ = played(NimValues(), Nim(), ["one", "two", "one", "q"])
    assert "other moves: one:+1.00* two:+0.00" in text
    assert "You win!" in text


def test_a_move_outside_the_board_is_shown_below_it():
    text, _ = played(untrained((3,), 3, "passing").eval(), Passing(), ["pass", "1", "1", "q"])
    lines = text.splitlines()
    assert [word[:2] for word in lines[2].split()] == ["1:", "2:"]
    assert lines[3].startswith("other moves: pass:")
    assert "isn't a legal move" not in text.partition("The agent plays")[0]


def test_the_best_move_is_taken_at_zero_and_another_at_times_above():
    first = {
        seed: played(
            taught_tictactoe(),
            TicTacToe(),
            ["1"],
            temperature=temperature,
            generator=np.random.default_rng(seed),
        )[0].partition("The agent plays ")[2][:1]
        for temperature, seed in [(0.0, 0), (0.0, 1), (0.0, 2), *((5.0, s) for s in range(3, 20))]
    }
    assert first[0] == first[1] == first[2] == "5"
    assert len({first[seed] for seed in range(3, 20)}) > 3


def test_who_starts_must_be_someone():
    with pytest.raises(ValueError, match="starts='me'"):
        TerminalPlay(taught_tictactoe(), TicTacToe(), starts="me")
