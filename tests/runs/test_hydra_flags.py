"""Hydra's own flags on a command line."""

import pytest

from lightning_dqn.runs.hydra_flags import in_one_word


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["-m", "--config-dir", "x y", "a=1"], ["-m", "--config-dir=x y", "a=1"]),
        (["-cd", "x", "-cn=y", "-c", "job"], ["--config-dir=x", "--config-name=y", "--cfg=job"]),
        (["--info", "all", "--info", "-m", "--info"], ["--info=all", "--info", "-m", "--info"]),
        (["a=-cd", "--config-dir"], ["a=-cd", "--config-dir"]),
        (["--cfg=job", "--nothing", "x", "+b=c=d"], ["--cfg=job", "--nothing", "x", "+b=c=d"]),
    ],
)
def test_a_flag_and_its_value_are_one_word(words: list[str], expected: list[str]) -> None:
    assert in_one_word(words) == expected
    assert in_one_word(expected) == expected
