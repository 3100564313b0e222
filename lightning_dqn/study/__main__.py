"""``python -m lightning_dqn.study``, as the command was called."""

from lightning_dqn.former_names import run_command

if __name__ == "__main__":
    run_command("study")
