"""A checkpoint is read with its checksums; a damaged one is told, or the one before is taken."""

from __future__ import annotations

import random
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lightning_dqn.safekeeping.generations import previous_of
from lightning_dqn.safekeeping.reading import is_whole, read_checkpoint

CONTENT = {"weights": torch.arange(20_000.0), "updates": 3}


def save(path: Path, content: Any = CONTENT) -> Path:
    torch.save(content, path)
    return path


def damage(path: Path, kind: str, share: float) -> None:
    content = bytearray(path.read_bytes())
    place = int(share * len(content))
    if kind == "cut":
        content = content[:place]
    else:
        content[place] ^= 1
    path.write_bytes(content)


def test_what_was_saved_is_read(tmp_path):
    found = read_checkpoint(save(tmp_path / "a.ckpt"))
    assert torch.equal(found["weights"], CONTENT["weights"])
    assert found["updates"] == 3


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_a_truncated_file_is_told_in_one_line(share, tmp_path):
    path = save(tmp_path / "a.ckpt")
    damage(path, "cut", share)
    with pytest.raises(ValueError, match=rf"^{path}: no readable checkpoint, .*damaged") as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)
    assert not is_whole(path)


def test_a_flipped_bit_in_a_tensor_is_told_with_its_entry(tmp_path):
    path = save(tmp_path / "a.ckpt")
    damage(path, "flip", 0.5)
    torch.load(path, weights_only=True)  # torch itself doesn't notice
    with pytest.raises(ValueError, match=r"a\.ckpt: .*damaged: a/data/0 differs"):
        read_checkpoint(path)
    assert not is_whole(path)


def test_wherever_a_bit_flips_it_is_told_or_changes_nothing(tmp_path):
    path = save(tmp_path / "a.ckpt", {"weights": torch.arange(100.0), "updates": 3})
    whole = path.read_bytes()
    draw = random.Random(0)
    told: list[str] = []
    for _ in range(400):
        content = bytearray(whole)
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(content)
        try:
            found = read_checkpoint(path)
        except ValueError as error:
            told.append(str(error))
        else:
            assert torch.equal(found["weights"], torch.arange(100.0))
            assert found["updates"] == 3
    assert len(told) > 200
    assert all(str(path) in line and "\n" not in line for line in told)


@pytest.mark.parametrize(("kind", "share"), [("cut", 0.0), ("cut", 0.999), ("flip", 0.5)])
def test_the_generation_before_stands_in_with_one_warning(kind, share, tmp_path):
    path = save(tmp_path / "last.ckpt")
    save(previous_of(path), {"updates": 2})
    damage(path, kind, share)
    with pytest.warns(UserWarning, match=r"last\.ckpt: .*last\.previous\.ckpt, is taken") as caught:
        assert read_checkpoint(path)["updates"] == 2
    assert len(caught) == 1
    assert "\n" not in str(caught[0].message)


def test_a_whole_file_is_read_whatever_lies_beside_it(tmp_path):
    path = save(tmp_path / "last.ckpt")
    previous_of(path).write_text("no checkpoint")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_checkpoint(path)["updates"] == 3


def test_where_both_are_damaged_the_asked_one_is_told(tmp_path):
    path = save(tmp_path / "last.ckpt")
    save(previous_of(path))
    for one in (path, previous_of(path)):
        damage(one, "flip", 0.5)
    with pytest.raises(ValueError, match=r"last\.ckpt: .*damaged"):
        read_checkpoint(path)


def test_a_missing_file_is_told_unless_the_one_before_is_there(tmp_path):
    path = tmp_path / "last.ckpt"
    with pytest.raises(ValueError, match=r"last\.ckpt: there is no such file"):
        read_checkpoint(path)
    save(previous_of(path), {"updates": 2})
    with pytest.warns(UserWarning, match="is taken"):
        assert read_checkpoint(path)["updates"] == 2


class Harmful:
    """Code of somebody's own."""


def test_code_in_a_checkpoint_is_refused(tmp_path):
    path = save(tmp_path / "a.ckpt", {"object": Harmful()})
    with pytest.raises(ValueError, match="more than tensors and plain values") as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_what_is_no_plain_value_is_told_with_the_way_to_read_it_all_the_same(tmp_path):
    path = tmp_path / "a.ckpt"
    torch.save({"callbacks": {"Mine": {"best": np.float64(1.0)}}}, path)
    with pytest.raises(ValueError, match=r"NumPy number; where .* pass weights_only as False"):
        read_checkpoint(path)
