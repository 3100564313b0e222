"""What a run says of itself before it begins."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.short_runs import small_config

from lightning_dqn.runs.experiment import prepare
from lightning_dqn.runs.opening import config_tree, opening_line


def line(tmp_path: Path, *overrides: str) -> str:
    return opening_line(prepare(small_config(tmp_path, *overrides)), Path("runs/x"))


def test_the_line_names_what_is_run_where_and_how_long(tmp_path: Path) -> None:
    # 4 * 8 + 8 and 8 * 2 + 2 parameters; 2 epochs of 2 iterations of 64 env steps
    assert line(tmp_path) == (
        "small: 8 environments CartPole-v1, 58 parameters on cpu, not compiled, 320 env steps, "
        "resume exact, in runs/x"
    )


HARD = ("callbacks/target_network=hard", "callbacks.target_network.every_n_updates=6")


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        (["trainer.max_epochs=-1"], ", without end, "),
        (["trainer.max_epochs=-1"], ", compiled, 4 updates in a graph, without end"),
        (["trainer.max_epochs=-1", *HARD], ", compiled, 2 updates in a graph, "),
        (["module.compile=true"], ", compiled, 320 env steps"),
        (["module.compile=false", "trainer.max_epochs=-1"], ", not compiled, "),
        # 500 iterations of 8 updates pay for what has many outputs for each action
        (["module/head=quantile", "trainer.max_epochs=250"], ", compiled, "),
        (["trainer.max_epochs=250"], ", not compiled, "),
        (["trainer.max_epochs=-1", "+trainer.max_steps=200"], ", not compiled, "),
        (["data/collection=ray"], ", resume restart, "),  # rows on their way aren't kept
        (["data/collection=ray", "data.collection.synchronous=true"], ", resume exact, "),
    ],
    ids=str,
)
def test_it_tells_whether_learning_is_compiled_ends_and_goes_on(
    overrides: list[str], text: str, tmp_path: Path
) -> None:
    assert text in line(tmp_path, *overrides)


def test_the_tree_has_every_key_with_its_value(tmp_path: Path) -> None:
    config = small_config(tmp_path, "module/lr_scheduler=linear")
    lines = config_tree(config).splitlines()
    assert "├─ name: small" in lines
    assert "│  └─ total_iters: 4" in [text[3:] for text in lines]
    assert lines[-1].startswith("└─ " if not lines[-1].startswith(" ") else "   ")
