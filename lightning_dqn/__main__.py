"""``python -m lightning_dqn``."""

from lightning_dqn.commands.main import main

if __name__ == "__main__":
    main()
