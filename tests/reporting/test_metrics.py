"""Episode statistics: windows, and a state that travels in a checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from lightning_dqn.reporting.metrics import EpisodeLength, EpisodeReturn, WrappedReturn
from lightning_dqn.transitions import Episode


def episodes(*returns: float) -> list[Episode]:
    return [Episode(value, int(10 * value)) for value in returns]


@pytest.mark.parametrize("window", [0, -1])
def test_a_window_without_an_episode_is_refused(window: int) -> None:
    with pytest.raises(ValueError, match=f"window={window}: at least 1 episode"):
        EpisodeReturn(window=window)


def test_no_episode_gives_nan_and_no_error() -> None:
    metric = EpisodeReturn()
    metric.update([])
    assert metric.compute().isnan()
    assert metric.num_episodes == 0


def test_mean_deviation_and_count_of_the_returns() -> None:
    metric = EpisodeReturn()
    metric.update(episodes(1.0, 3.0))
    metric.update(episodes(8.0))
    assert metric.compute() == 4.0
    assert metric.standard_deviation().item() == pytest.approx(26**0.5 / 3**0.5)
    assert metric.num_episodes == 3


def test_the_deviation_of_one_episode_is_0() -> None:
    metric = EpisodeReturn()
    metric.update(episodes(5.0))
    assert metric.standard_deviation() == 0.0


def test_lengths_are_counted_in_env_steps() -> None:
    metric = EpisodeLength()
    metric.update(episodes(1.0, 2.0))
    assert metric.compute() == 15.0


def test_a_window_keeps_the_newest_episodes_also_of_one_large_update() -> None:
    metric = EpisodeReturn(window=2)
    metric.update(episodes(100.0, 1.0))
    assert metric.compute() == 50.5
    metric.update(episodes(3.0))
    assert metric.compute() == 2.0
    metric.update(episodes(9.0, 9.0, 5.0, 7.0))
    assert metric.compute() == 6.0
    assert metric.num_episodes == 2


def test_a_new_value_is_computed_after_every_update() -> None:
    metric = EpisodeReturn()
    metric.update(episodes(1.0))
    assert metric.compute() == 1.0
    metric.update(episodes(3.0))
    assert metric.compute() == 2.0, "not the remembered one"


def test_reset_forgets_all_episodes() -> None:
    metric = EpisodeReturn()
    metric.update(episodes(1.0, 2.0))
    metric.reset()
    metric.update(episodes(7.0))
    assert metric.compute() == 7.0


def test_the_window_travels_in_a_checkpoint_whatever_its_length(tmp_path: Path) -> None:
    saved = nn.ModuleDict({"returns": EpisodeReturn(window=3)})
    saved["returns"].update(episodes(1.0, 2.0))  # type: ignore[operator]
    torch.save(saved.state_dict(), tmp_path / "a.pt")
    loaded = nn.ModuleDict({"returns": EpisodeReturn(window=3)})
    loaded["returns"].update(episodes(50.0))  # type: ignore[operator]
    loaded.load_state_dict(torch.load(tmp_path / "a.pt", weights_only=True))
    metric = loaded["returns"]
    assert isinstance(metric, EpisodeReturn)
    assert metric.values.tolist() == [1.0, 2.0]
    metric.update(episodes(3.0, 4.0))
    assert metric.values.tolist() == [2.0, 3.0, 4.0]


def test_a_loaded_metric_forgets_all_on_reset_too() -> None:
    saved = EpisodeReturn()
    saved.update(episodes(1.0, 2.0))
    loaded = EpisodeReturn()
    loaded.load_state_dict(saved.state_dict())
    loaded.reset()
    assert loaded.num_episodes == 0


def test_an_empty_metric_travels_too() -> None:
    loaded = EpisodeReturn()
    loaded.update(episodes(1.0))
    loaded.load_state_dict(EpisodeReturn().state_dict())
    assert loaded.num_episodes == 0


def test_numbers_beyond_float32_are_kept_and_averaged_exactly() -> None:
    metric = EpisodeReturn()
    metric.update([Episode(2.0**24 + 1, 1), Episode(2.0**24 + 3, 1), Episode(1e39, 1)])
    assert metric.values.tolist() == [2.0**24 + 1, 2.0**24 + 3, 1e39]
    metric.reset()
    metric.update([Episode(2.0**24 + 1, 1), Episode(2.0**24 + 3, 1)])
    assert metric.compute().item() == 2.0**24 + 2


def test_they_stay_where_they_are_read() -> None:
    metric = EpisodeReturn().to("meta")
    metric.update(episodes(1.0, 3.0))
    assert metric.compute() == 2.0
    assert metric.half().values.dtype == torch.float64


def test_a_state_of_float32_is_taken() -> None:
    metric = EpisodeReturn()
    metric.load_state_dict({"values": torch.tensor([1.0, 2.0])})
    assert metric.values.tolist() == [1.0, 2.0]
    assert metric.values.dtype == torch.float64


def test_wrapped_returns_are_those_of_wrapped_episodes() -> None:
    metric = WrappedReturn(persistent=False)
    metric.update([Episode(1.0, 1), Episode(1.0, 1, wrapped_return=7.0)])
    assert metric.values.tolist() == [7.0]
    assert metric.state_dict() == {}
