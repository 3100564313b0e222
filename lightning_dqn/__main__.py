"""``python -m lightning_dqn``."""

from lightning_dqn.command_line import main

if __name__ == "__main__":
    main()
