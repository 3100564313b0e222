"""Source, ring and sampler of one fit, made and closed together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.paces import asked
from support.scripted_env import spec_of
from support.scripted_policies import ScriptedLearner

from lightning_dqn.experience import Experience
from lightning_dqn.replay.ring import ReplayBuffer
from lightning_dqn.replay.samplers.uniform import UniformSampling
from lightning_dqn.replay.storage import ReplayConfig
from lightning_dqn.system.ranks import ALONE, Ranks, WrongRanks


class Closable:
    """A source that notes when it is closed, and gives no rows."""

    num_envs = 2
    upcoming = None

    def __init__(self) -> None:
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


class Shared(Closable):
    """Notes what it is told of counts."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, int]] = []

    def share_with(self, num_ranks: int) -> None:
        self.told.append(("share_with", num_ranks))

    def continue_from(self, env_steps: int) -> None:
        self.told.append(("continue_from", env_steps))

    def warm_up(self, learner: Any) -> Any:
        return iter([])


class RefusingSampling(UniformSampling):
    """Makes no sampler."""

    def make(self, *args: Any) -> Any:
        raise ValueError("no sampler on purpose")


def ring(num_envs: int) -> ReplayBuffer:
    return ReplayBuffer(spec_of(), num_envs, ReplayConfig(10))


def refused(num_envs: int) -> ReplayBuffer:
    raise ValueError("no ring on purpose")


@pytest.mark.parametrize(
    ("make_ring", "sampling", "missing"),
    [(refused, UniformSampling(), "ring"), (ring, RefusingSampling(), "sampler")],
)
def test_the_source_is_closed_where_the_rest_cannot_be_made(
    make_ring: Callable[[int], ReplayBuffer], sampling: UniformSampling, missing: str
) -> None:
    source: Any = Closable()
    with pytest.raises(ValueError, match=f"no {missing} on purpose"):
        Experience(source, make_ring, sampling, asked())
    assert source.is_closed


def test_the_source_stays_open_until_all_is_closed() -> None:
    source: Any = Closable()
    experience = Experience(source, ring, UniformSampling(), asked())
    assert not source.is_closed
    assert experience.replay.num_envs == 2
    experience.close()
    assert source.is_closed


def test_source_and_sampler_know_that_they_are_a_part_of_several() -> None:
    source: Any = Shared()
    experience = Experience(source, ring, UniformSampling(), asked(), Ranks(2, 1))
    assert experience.sampler.ranks == Ranks(2, 1)
    assert source.told == [("share_with", 2)]


@pytest.mark.parametrize(("ranks", "own"), [(ALONE, 1_001), (Ranks(2), 501), (Ranks(2, 1), 500)])
def test_each_rank_goes_on_from_its_part_of_what_was_learned_from(ranks: Ranks, own: int) -> None:
    source: Any = Shared()
    experience = Experience(source, ring, UniformSampling(), asked(), ranks)
    learner: Any = ScriptedLearner()
    learner.env_steps = 1_001
    assert list(experience.warm_up(learner)) == []
    assert source.told[-1] == ("continue_from", own)


@pytest.mark.parametrize(("saved", "present"), [(ALONE, Ranks(2)), (Ranks(2), Ranks(3))])
def test_what_ranks_save_after_a_fit_is_continued_by_as_many(saved: Ranks, present: Ranks) -> None:
    def experience(ranks: Ranks) -> Experience:
        source: Any = Shared()
        source.state_dict = dict
        source.load_state_dict = lambda state: None
        return Experience(source, ring, UniformSampling(), asked(), ranks)

    counters = experience(saved).counters()
    experience(saved).load_state_dict(counters, Path())
    with pytest.raises(WrongRanks, match=f"devices \\* num_nodes = {saved.size}$"):
        experience(present).load_state_dict(counters, Path())
