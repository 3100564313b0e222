"""The scores of others are those of the literature."""

import numpy as np
import pytest

from lightning_dqn.study.aggregates import aggregates
from lightning_dqn.study.atari_scores import TABLES, atari_100k


def test_there_are_26_games_with_a_score_of_everyone() -> None:
    table = atari_100k()
    assert len(table.games) == 26
    assert list(table.agents) == ["DER", "DrQ(eps)", "SPR", "SR-SPR", "BBF", "BBF at 2"]
    for scores in (table.human, *table.agents.values()):
        assert tuple(scores) == table.games
    assert table.run_iqm.keys() <= table.agents.keys()
    assert all(table.human[game] > table.random[game] for game in table.games)
    assert TABLES["atari_100k"]() is table


def test_chance_scores_0_and_a_person_1() -> None:
    table = atari_100k()
    for game in table.games:
        found = table.normalized(game, [table.random[game], table.human[game]])
        assert found.tolist() == [0.0, 1.0]
    assert table.normalized("Pong", -3.05) == pytest.approx(0.5)
    assert table.normalized("Breakout", np.full((2, 3), 59.3)).shape == (2, 3)
    assert table.normalized("Breakout", 59.3) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("agent", "iqm", "median", "mean"),
    [
        ("DER", 0.142, None, None),
        ("DrQ(eps)", 0.321, None, 0.465),
        ("SPR", 0.415, 0.396, 0.616),
        ("SR-SPR", 0.700, None, None),
        ("BBF", 1.139, 0.917, 2.247),
        ("BBF at 2", 1.038, 0.755, 2.175),
    ],
)
def test_published_scores_come_to_the_published_aggregates(
    agent: str, iqm: float, median: float | None, mean: float | None
) -> None:
    table = atari_100k()
    scores = {game: [float(table.normalized(game, s))] for game, s in table.agents[agent].items()}
    found = aggregates(scores, "games")
    assert found["iqm"].value == pytest.approx(iqm, abs=5e-4)
    for key, value in (("median", median), ("mean", mean)):
        if value is not None:
            assert found[key].value == pytest.approx(value, abs=1e-3)
