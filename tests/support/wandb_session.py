"""W&B in this process as a user without an account has it, and its end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def wandb_session(home: Path, **variables: str) -> Iterator[pytest.MonkeyPatch]:
    """Give W&B a session of its own, with none of the user's variables and an empty home."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("WANDB_") or name.lower().endswith("_proxy") or name == "NETRC":
                patch.delenv(name)
        patch.setenv("HOME", str(home))
        patch.setenv("WANDB__DISABLE_STATS", "true")  # a sampler of hardware that looks around
        patch.setenv("WANDB_ERROR_REPORTING", "false")  # as the logger does; restored here
        for name, value in variables.items():
            patch.setenv(name, value)
        import wandb

        wandb.teardown()  # settings of an earlier session
        try:
            yield patch
        finally:
            wandb.finish()
            wandb.teardown()


def end_session() -> None:
    """Let W&B's service write all out."""
    import wandb

    wandb.teardown()
