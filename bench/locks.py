"""Acquire and release, ours against redis-py's lock, on the same server in one run.

    python3 bench/locks.py [pairs]

Ours does more for the same round trips: fencing number, holder, index, renewal. Prints microseconds a pair, medians of
alternating blocks, and the ratio.
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import surroundings

surroundings.setup()

from jobroom import redis  # noqa: E402
from jobroom.locks import ExclusiveLock  # noqa: E402

BLOCKS = 20


def measure(work: Callable[[], None], pairs: int) -> float:
    """Return the microseconds of one call."""
    began = time.perf_counter()
    for _ in range(pairs):
        work()
    return (time.perf_counter() - began) / pairs * 1e6


def ours() -> None:
    """Take and give back our lock."""
    with ExclusiveLock("bench"):
        pass


def theirs() -> None:
    """Take and give back redis-py's lock, made again as ours is."""
    with redis.client().lock("bench-peer", timeout=30, blocking=False):
        pass


def main() -> None:
    """Run both in turn and print the medians."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    began = time.perf_counter()
    ours()
    print(
        f"first acquire and release of a process, with the start of its keeper: {(time.perf_counter() - began) * 1e3:.0f} ms"
    )
    theirs()
    rounds = [(measure(ours, pairs), measure(theirs, pairs)) for _ in range(BLOCKS)]
    mine, peer = (statistics.median(column) for column in zip(*rounds, strict=True))
    ratio = statistics.median(a / b for a, b in rounds)
    print(f"ours {mine:.0f} µs, redis-py {peer:.0f} µs, ratio {ratio:.2f} ({BLOCKS} blocks of {pairs} pairs)")


if __name__ == "__main__":
    main()
