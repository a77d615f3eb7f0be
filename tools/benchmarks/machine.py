"""The machine a benchmark ran on: processor, cores, memory, load. No name of it, nothing that finds it."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def describe(cores: int) -> dict[str, object]:
    """What the figures depend on.

    Args:
        cores: how many each contestant may use.
    """
    return {
        "processor": _processor(),
        "cores_used": min(cores, len(os.sched_getaffinity(0))),
        "cores_there": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "load_before": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
    }


def _processor() -> str:
    """Model name with what tells generations of a nameless cloud processor apart."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return platform.processor() or "unknown"
    found = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = found.get("flags", "").split()
    vectors = "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "no AVX2"
    name = found.get("model name", "unknown")
    return f"{name} (family {found.get('cpu family', '?')}, model {found.get('model', '?')}, {vectors})"
