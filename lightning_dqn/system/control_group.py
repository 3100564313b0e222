"""How much memory the control groups of a process leave it, as containers and schedulers set them.

A group's limit holds for all that is below it, so every group from one's own up to the root counts.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

MOUNTED = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")

UNLIMITED = 2**63 - 1


class _Files(NamedTuple):
    """What a version of control groups calls its files, and pages that can be dropped."""

    limit: str
    usage: str
    cache: str


_VERSION_1 = _Files("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_VERSION_2 = _Files("memory.max", "memory.current", "inactive_file")


def free_bytes(mounted: Path = MOUNTED, membership: Path = MEMBERSHIP) -> int:
    """Return the bytes that may still be allocated; 2^63 - 1 where no group limits them.

    Pages of files that nobody has used lately count as free, for the system drops them first.

    Args:
        mounted: where groups are mounted, as ``/sys/fs/cgroup``.
        membership: which groups this process is in, as ``/proc/self/cgroup``.
    """
    free = UNLIMITED
    for root, group, files in _groups(mounted, membership):
        # In a container the own group may be mounted as the root, and its path not be there.
        inner = root / group.lstrip("/")
        for folder in [inner, *inner.parents]:
            if folder.is_relative_to(root):
                free = min(free, _free_of(folder, files))
    return max(0, free)


def _groups(mounted: Path, membership: Path) -> list[tuple[Path, str, _Files]]:
    """Return root, path below it, and files' names of each group whose memory counts."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:  # another system than Linux
        lines = []
    found = [(mounted, "", _VERSION_2), (mounted / "memory", "", _VERSION_1)]
    for line in lines:
        number, controllers, group = line.split(":", 2)
        if number == "0":
            found += [(root, group, _VERSION_2) for root in (mounted, mounted / "unified")]
        elif "memory" in controllers.split(","):
            found.append((mounted / "memory", group, _VERSION_1))
    return found


def _free_of(folder: Path, files: _Files) -> int:
    try:
        limit = int((folder / files.limit).read_text())
        used = int((folder / files.usage).read_text())
    except (OSError, ValueError):  # no such group, or one without a limit ("max")
        return UNLIMITED
    return limit - used + min(used, _cached(folder / "memory.stat", files.cache))


def _cached(statistics: Path, name: str) -> int:
    try:
        lines = statistics.read_text().splitlines()
    except OSError:
        return 0
    values = dict(line.partition(" ")[::2] for line in lines)
    return int(values.get(name, 0))
