"""What several ranks collected is summed, and all know the same of it."""

from __future__ import annotations

from typing import Any

from support.threaded_ranks import in_ranks

from lightning_dqn.collecting.contract import Collected
from lightning_dqn.collecting.sharing import episodes_of_all, summed_over_ranks
from lightning_dqn.system.ranks import Ranks
from lightning_dqn.transitions import Episode

OF_FIRST = [Episode(1.5, 3), Episode(-2.0, 2**25 + 1, 0.5, is_cut=True)]
OF_THIRD = [Episode(7.0, 4, -1.0)]
ROWS: Any = object()


def test_env_steps_restarts_and_episodes_are_those_of_all() -> None:
    def act(ranks: Ranks) -> Collected:
        episodes = [OF_FIRST, [], OF_THIRD][ranks.rank]
        restarts = [None, 2, 1][ranks.rank]
        own = Collected(ROWS, 10 + ranks.rank, ranks.rank, 0.25, list(episodes), restarts)
        return summed_over_ranks(own, ranks)

    for collected in in_ranks(3, act):
        assert collected == Collected(ROWS, 33, 3, 0.25, [*OF_FIRST, *OF_THIRD], 3)


def test_without_workers_and_episodes_there_are_none() -> None:
    own = Collected(ROWS, 4, 4, 0.0, [])
    for collected in in_ranks(2, lambda ranks: summed_over_ranks(own, ranks)):
        assert (collected.worker_restarts, collected.episodes) == (None, [])


def test_episodes_of_an_evaluation_come_to_all() -> None:
    parts = [OF_FIRST, OF_THIRD]
    found = in_ranks(2, lambda ranks: episodes_of_all(parts[ranks.rank], ranks))
    assert found == [[*OF_FIRST, *OF_THIRD]] * 2
