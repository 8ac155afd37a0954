"""How much memory (RSS) this process uses."""

import os
import resource as limits
import sys
from pathlib import Path


def resident() -> int:
    """Return the resident set of this process in bytes; where the system does not say, its peak."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        peak = limits.getrusage(limits.RUSAGE_SELF).ru_maxrss
        return int(peak if sys.platform == "darwin" else peak * 1024)
