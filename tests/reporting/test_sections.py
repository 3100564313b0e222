"""Each metric has its place on a dashboard, whatever families there are."""

from __future__ import annotations

import re

import pytest

from lightning_dqn.reporting.glossary import GLOSSARY, MEDIA
from lightning_dqn.reporting.sections import X_AXIS, pattern_of, sections

SIX = ["learning", "values", "exploration", "replay", "speed", "system"]


def test_families_stand_in_six_sections_and_single_keys_in_the_one_that_they_belong_to():
    keys = (
        *("checkpoint/failed", "exploration/entropy", "eval/episode_return", "replay/fill"),
        *("rollout/epsilon", "rollout/episode_return", "train/loss", "train/q_value"),
        *("time/updates_per_second", "values/overestimation", "network/weight_norm/<layer>"),
        *("system/cpu_percent", "videos/best", "test/episode_return", "eval/q_rmse"),
    )
    found = sections(keys)
    assert list(found) == SIX
    assert found == {
        "learning": [
            *("eval/episode_return", "rollout/episode_return", "train/loss"),
            *("network/weight_norm/<layer>", "eval/q_rmse", "test/episode_return", "videos/best"),
        ],
        "values": ["values/overestimation", "train/q_value"],
        "exploration": ["exploration/entropy", "rollout/epsilon"],
        "replay": ["replay/fill"],
        "speed": ["time/updates_per_second"],
        "system": ["system/cpu_percent", "checkpoint/failed"],
    }


def test_a_family_that_nobody_knows_has_a_section_behind_the_others():
    assert sections(["new/a", "train/loss", "new/b"]) == {
        "learning": ["train/loss"],
        "new": ["new/a", "new/b"],
    }


def test_each_key_of_the_glossary_stands_in_one_of_the_six_but_for_the_x_axis():
    keys = [*GLOSSARY, *MEDIA]
    found = sections(keys)
    assert set(found) <= set(SIX)
    assert sorted(key for of in found.values() for key in of) == sorted({*keys} - {X_AXIS})


@pytest.mark.parametrize(
    ("key", "meant", "others"),
    [
        (
            "eval/<opponent>/<seat>/win_rate",
            ["eval/random/first/win_rate", "eval/search_2/second/win_rate"],
            ["eval/exact/random/first/win_rate", "eval/random/first/draw_rate"],
        ),
        ("values/q_p<share>", ["values/q_p5", "values/q_p95"], ["values/q_p5/x", "values/q"]),
        ("network/norm/<layer>", ["network/norm/torso.0.weight"], ["network/norm_p5"]),
    ],
)
def test_a_key_with_names_left_open_stands_for_those_of_a_run(key, meant, others):
    pattern = pattern_of(key)
    assert pattern is not None
    assert all(re.search(pattern, one) for one in meant)
    assert not any(re.search(pattern, one) for one in others)


def test_a_plain_key_stands_for_itself():
    assert pattern_of("system/allocated_bytes.all.peak") is None
