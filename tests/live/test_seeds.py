"""Bands of other seeds: which runs they are of, and what of their curves."""

import numpy as np

from lightning_dqn.live.seeds import band_of, bands_of_other_seeds
from lightning_dqn.reporting.metrics_file import Series


def run_in(folder, overrides, rows):
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text("".join(f"- {one}\n" for one in overrides))
    lines = ["time/env_steps,train/loss", *(f"{x},{y}" for x, y in rows)]
    (folder / "metrics.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_only_other_seeds_of_the_same_setting_count(tmp_path):
    own = run_in(tmp_path / "0", ["seed=0", "lr=1"], [(0, 0.0)])
    run_in(tmp_path / "1", ["lr=1", "seed=1"], [(0, 1.0), (10, 3.0)])
    run_in(tmp_path / "2", ["lr=1", "seed=2"], [(0, 3.0), (20, 5.0), ("", "")])
    run_in(tmp_path / "3", ["lr=2", "seed=3"], [(0, 99.0)])
    run_in(tmp_path / "4", ["lr=1", "seed=0"], [(0, 99.0)])
    band = bands_of_other_seeds(own)["train/loss"]
    assert (band.env_steps[0], band.env_steps[-1]) == (0, 10)
    assert (band.low[0], band.middle[0], band.high[0]) == (1, 2, 3)
    assert (band.low[-1], band.high[-1]) == (3, 4)


def test_a_run_that_went_on_has_the_other_seeds_of_its_setting(tmp_path):
    again = ["lr=1", "epochs=1", "seed=0", "ckpt_path='0/checkpoints/last.ckpt'", "epochs=2"]
    own = run_in(tmp_path / "0", again, [(0, 0.0)])
    run_in(tmp_path / "1", ["lr=1", "epochs=2", "seed=1"], [(0, 1.0)])
    assert bands_of_other_seeds(own)["train/loss"].high == [1.0]


def test_a_run_by_itself_has_no_bands(tmp_path):
    assert bands_of_other_seeds(run_in(tmp_path / "0", ["seed=0"], [(0, 1.0)])) == {}
    assert bands_of_other_seeds(tmp_path / "unknown") == {}


def test_rows_that_cannot_be_read_are_left_out(tmp_path):
    own = run_in(tmp_path / "0", ["seed=0"], [(0, 1.0)])
    run_in(tmp_path / "1", ["seed=1"], [("half a li", "")])
    run_in(tmp_path / "2", ["seed=2"], [(0, "nan"), (5, 2.0)])
    (tmp_path / "3" / ".hydra").mkdir(parents=True)
    (tmp_path / "3" / ".hydra" / "overrides.yaml").write_text("{not: [a list")
    band = bands_of_other_seeds(own)["train/loss"]
    assert (band.low, band.high) == ([2.0], [2.0])


def test_a_single_point_is_a_band():
    band = band_of([Series(np.array([5.0]), np.array([value])) for value in (1.0, 2.0)])
    assert (band.env_steps, band.low, band.high) == ([5.0], [1.0], [2.0])
