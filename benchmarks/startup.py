"""Print how long it takes to start: imports, `--help`, and a run up to its first env step.

python benchmarks/startup.py [repeats]
"""

import statistics
import subprocess
import sys
import tempfile
import time

IMPORTS = "import torch, pytorch_lightning"
FIRST_ENV_STEP = """
import sys
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv
import os
CartPoleVectorEnv.step = lambda *args: os._exit(0)
from lightning_dqn.commands.main import main
sys.argv = ["lightning-dqn"]
main()
"""
COMMANDS = {
    "import torch, pytorch_lightning": ["-c", IMPORTS + "; import os; os._exit(0)"],
    "python -m lightning_dqn --help": ["-m", "lightning_dqn", "--help"],
    "a run up to its first env step": ["-c", FIRST_ENV_STEP],
}


def seconds(arguments: list[str]) -> float:
    """Return the wall-clock seconds of one fresh process in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], cwd=folder, check=True, capture_output=True)
        return time.perf_counter() - start


def main() -> None:
    """Run the commands in turns and print the medians."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(repeats):
        for name, arguments in COMMANDS.items():
            times[name].append(seconds(arguments))
    for name, taken in times.items():
        print(f"{name:<34} {statistics.median(taken):5.2f} s ({min(taken):.2f}-{max(taken):.2f})")


if __name__ == "__main__":
    main()
