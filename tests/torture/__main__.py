"""`python -m tests.torture --seeds 20 --count 300`: the torture suite in its full size."""

import argparse
import os
import sys

import pytest


def main() -> int:
    """Run the suite with seeds 1 to N, or the one that is named; return the exit status of pytest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="how many seeds (default: 20)")
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--count", type=int, default=300, help="nasty tasks for each seed, and as many good ones")
    given = parser.parse_args()
    seeds = [given.seed] if given.seed is not None else range(1, given.seeds + 1)
    os.environ |= {"TORTURE_SEEDS": ",".join(map(str, seeds)), "TORTURE_COUNT": str(given.count)}
    return int(pytest.main(["-q", "-s", "-p", "no:randomly", "tests/torture/test_torture.py"]))


if __name__ == "__main__":
    sys.exit(main())
