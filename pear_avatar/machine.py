"""The machine the process may use: processor cores and memory. Quick to import."""

from __future__ import annotations

import os
from pathlib import Path

from pear_avatar import _native

_CGROUP_V2 = Path("/sys/fs/cgroup/cpu.max")
_CGROUP_V1 = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")


def available_cores() -> int:
    """Cores this process may really use: affinity mask and container quota, at least 1.

    ``os.cpu_count()`` shows the host's cores inside a container limited to two of them; OpenMP
    would start a thread for each and spend its time on waiting.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quota = _cgroup_quota()
    limit = max(int(quota + 0.5), 1) if quota else cores
    return max(min(cores or 1, limit or 1), 1)


def limit_threads(count: int | None = None) -> int:
    """Let OpenMP (hence torch) and the native core use ``count`` threads; returns the count.

    Call it before torch is imported. Without ``count``, ``OMP_NUM_THREADS`` is obeyed where it
    is set, and all granted cores are used where it is not.
    """
    wish = os.environ.get("OMP_NUM_THREADS", "")
    threads = count or (int(wish) if wish.isdigit() and int(wish) > 0 else available_cores())
    os.environ["OMP_NUM_THREADS"] = str(threads)
    # Waiting OpenMP threads that spin take the cores from the native core's own threads.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if _native.is_available():
        _native.set_num_threads(threads)
    return threads


def _cgroup_quota() -> float | None:
    """Cores granted by the container's CPU quota; None where there is none."""
    try:
        quota, period = _CGROUP_V2.read_text().split()[:2]
        return None if quota == "max" else float(quota) / float(period)
    except (OSError, ValueError):
        pass
    try:
        quota_us = float(_CGROUP_V1.read_text())
        period_us = float(_CGROUP_V1.with_name("cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return None
    return quota_us / period_us if quota_us > 0 else None


def total_memory_gib() -> float | None:
    """Physical memory in GiB, or None where the system does not report it."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    except (AttributeError, OSError, ValueError):
        return None
