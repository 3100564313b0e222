"""A stand-in for SLURM: its programs, which run the jobs of an array at once on this machine."""

from __future__ import annotations

import os
import stat
from pathlib import Path

SBATCH = """#!/usr/bin/env python3
import os, re, shutil, subprocess, sys
path, folder = sys.argv[-1], os.environ["FAKE_SLURM"]
shutil.copy(path, folder + "/script.sh")
first, last = map(int, re.search(r"--array=(\\d+)-(\\d+)", open(path).read()).groups())
one = {"SLURM_NTASKS": "1", "SLURM_JOB_NUM_NODES": "1", "SLURM_JOB_NODELIST": "localhost"}
one |= {f"SLURM_{name}": "0" for name in ("NODEID", "PROCID", "LOCALID")}
for task in range(first, last + 1):
    own = {"SLURM_JOB_ID": str(70 + task), "SLURM_ARRAY_JOB_ID": "7"}
    own |= {"SLURM_ARRAY_TASK_ID": str(task)}
    with open(f"{folder}/job_{task}.log", "wb") as log:
        subprocess.Popen(["bash", path], env={**os.environ, **one, **own}, stdout=log, stderr=log)
print("Submitted batch job 7")
"""

SRUN = """#!/usr/bin/env python3
import os, sys
words = sys.argv[1:]
while words[0].startswith("-"):
    words = words[2 if words[0] in ("--output", "--error") else 1:]
os.execvp(words[0], words)
"""

SACCT = """#!/usr/bin/env bash
echo "JobID|State|NodeList"
for task in 0 1 2 3 4 5 6 7; do echo "7_$task|RUNNING|localhost"; done
"""


def fake_slurm(folder: Path) -> dict[str, str]:
    """Put SLURM's programs into a folder; return the environment in which they are found.

    What was submitted is then ``script.sh`` there, what each job printed ``job_<number>.log``.
    """
    programs = folder / "bin"
    programs.mkdir(parents=True)
    for name, text in {"sbatch": SBATCH, "srun": SRUN, "sacct": SACCT, "squeue": SACCT}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(stat.S_IRWXU)
    return {"FAKE_SLURM": str(folder), "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
