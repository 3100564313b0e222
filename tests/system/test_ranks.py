"""Several processes as one: what one alone does without, and what they exchange."""

from __future__ import annotations

import pytest
import torch
from support.threaded_ranks import in_ranks

from lightning_dqn.system.ranks import LostRank, Ranks, warn


def test_one_rank_makes_no_call() -> None:
    ranks, bucket = Ranks(), torch.ones(3)
    ranks.average(bucket)  # without a process group
    assert bucket.tolist() == [1.0, 1.0, 1.0]
    assert ranks.gather(bucket).shape == (1, 3)
    assert ranks.first_ones("mine") == "mine"
    assert ranks.each_ones("mine") == ["mine"]
    assert ranks.share(7) == 7


def test_shares_come_to_the_whole() -> None:
    assert [Ranks(3, rank).share(8) for rank in range(3)] == [3, 3, 2]


def test_rows_of_all_come_one_ranks_after_the_others() -> None:
    def act(ranks: Ranks) -> list[list[float]]:
        rows = torch.full((ranks.rank * 2, 2), float(ranks.rank))
        return ranks.gather_rows(rows, [0, 2, 4]).tolist()

    assert in_ranks(3, act) == [[[1.0, 1.0]] * 2 + [[2.0, 2.0]] * 4] * 3


def test_a_call_that_fails_says_that_another_process_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("Connection closed by peer")

    monkeypatch.setattr("torch.distributed.all_reduce", fail)
    with pytest.raises(LostRank, match=r"rank 1 of 2: another process .*Connection closed by peer"):
        Ranks(2, 1).average(torch.ones(2))


@pytest.mark.parametrize(("rank", "told"), [(0, "gone"), (1, "rank 1: gone")])
def test_what_one_rank_met_is_told_with_its_number(
    rank: int, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_rank", lambda: rank)
    with pytest.warns(UserWarning, match=f"^{told}$"):
        warn("gone")
