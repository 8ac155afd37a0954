"""When a running job should end: what earlier jobs of its task took, blended with its own pace, as a range."""

import itertools
import math
import statistics
from collections.abc import Sequence

# A history of fewer jobs says nothing.
LEAST = 3
# Without a history its own pace is believed from this share on: the first steps of most jobs are not like the others.
PACE_ALONE = 0.25
# The pace is looked at from this share on.
PACE = 0.05
# How far a pace is off by, as a share, when all is still to be done; and jobs are never alike more than this.
PACE_SPREAD = 0.5
LEAST_SPREAD = 0.1
# From so many jobs with an input of known size on, and so many pairs of them unlike in size, sizes are believed.
SIZED = 5
UNLIKE = math.log(1.25)
# So many of the jobs nearest in size are looked at.
NEAREST = 15
# Time grows with the size at most by this power.
STEEPEST = 2.0


def left(
    times: Sequence[float], fraction: float | None, spent: float, reached: float | None = None
) -> tuple[float, float] | None:
    """Return the least and the most seconds that the job should still take; None where no one can know.

    Args:
        times: what the latest jobs of the task took, in seconds.
        fraction: how much of it is done, by its own progress; None when it reports nothing.
        spent: seconds since it began.
        reached: of them, how many it needed for that fraction; None when that is unknown. A job of few long steps says so
            at the end of each, and has gone on since.
    """
    pace = _pace(fraction, spent, spent if reached is None else reached)
    usual = _usual(times, spent)
    if usual is None:
        return _by_pace(pace, fraction, spent)
    if pace is None or fraction is None:
        return usual[0] - spent, usual[1] - spent
    weight = _weight(times, fraction)
    low, high = ((1 - weight) * total + weight * pace for total in usual)
    return max(0.0, low - spent), max(0.0, high - spent)


class Growth:
    """How the time that jobs of a task take grows with the size of their input.

    That is the median over all pairs of jobs that are unlike in size (the estimator of Theil and Sen), so one job that was held
    up changes nothing.
    """

    def __init__(self, times: Sequence[float], sizes: Sequence[float | None]) -> None:
        """Learn from jobs.

        Args:
            times: what the latest jobs of the task took, in seconds.
            sizes: how large the input of each was, all in one unit; None where that is unknown.
        """
        self.all = list(times)
        self.known = [(own, seconds) for seconds, own in zip(times, sizes, strict=True) if own and seconds > 0]
        slopes = [
            math.log(one[1] / other[1]) / math.log(one[0] / other[0])
            for one, other in itertools.combinations(self.known, 2)
            if abs(math.log(one[0] / other[0])) > UNLIKE
        ]
        self.power = min(max(statistics.median(slopes), 0.0), STEEPEST) if len(slopes) >= SIZED else 0.0

    def times(self, size: float | None) -> list[float]:
        """Return what the jobs nearest in size would have taken with an input of `size`; all as they are where sizes say nothing."""
        if not size or len(self.known) < SIZED:
            return self.all
        nearest = sorted(self.known, key=lambda one: abs(math.log(one[0] / size)))[:NEAREST]
        return [seconds * (size / own) ** self.power for own, seconds in nearest]


def single(usual: float | None, fraction: float | None, spent: float) -> float | None:
    """Return how many seconds a running job should still take, as one number; None where no one can know.

    Args:
        usual: what jobs of the task usually take, in seconds; None where none has ended yet.
        fraction: how much of it is done, by its own progress; None when it reports nothing.
        spent: seconds since it began.
    """
    pace = spent / fraction if fraction is not None and fraction >= PACE else None
    if pace is None or fraction is None:
        # One that has taken longer than usual, and reports nothing, may take any time.
        return usual - spent if usual is not None and usual > spent else None
    if usual is None or usual <= spent:
        return max(0.0, pace - spent) if fraction >= PACE_ALONE else None
    return max(0.0, (1 - fraction) * usual + fraction * pace - spent)


def _weight(times: Sequence[float], fraction: float) -> float:
    """Return how much the pace counts beside the history, 0 to 1: each weighs by the inverse of its variance.

    So the further the job is, and the less alike the earlier ones were, the more its own pace counts; at the end it alone does.
    """
    longest_first = sorted(times, reverse=True)
    upper, lower = longest_first[len(times) // 4], longest_first[3 * len(times) // 4]
    # Of a normal distribution the quartiles are that many deviations apart.
    spread = max(LEAST_SPREAD, math.log(upper / lower) / 1.35) if lower > 0 else 1.0
    return spread**2 / (spread**2 + (PACE_SPREAD * (1 - fraction)) ** 2)


def _pace(fraction: float | None, spent: float, reached: float) -> float | None:
    """Return how long all of it takes at its own pace; None while that says nothing."""
    if fraction is None or fraction < PACE:
        return None
    # It has gone on as fast since it said so, but how far at most is a guess: half of what is left.
    now = min(fraction * spent / reached, (1 + fraction) / 2) if reached > 0 else fraction
    return spent / max(now, fraction)


def _usual(times: Sequence[float], spent: float) -> tuple[float, float] | None:
    """Return what the middle half of the earlier jobs took that lasted longer than this one does already."""
    if len(times) < LEAST:
        return None
    longer = sorted(seconds for seconds in times if seconds > spent)
    return (longer[len(longer) // 4], longer[3 * len(longer) // 4]) if longer else None


def _by_pace(pace: float | None, fraction: float | None, spent: float) -> tuple[float, float] | None:
    if pace is None or fraction is None or fraction < PACE_ALONE:
        return None
    rest = pace - spent
    # As uncertain as much of it is still to come.
    margin = rest * (1 - fraction) / 2
    return max(0.0, rest - margin), max(0.0, rest + margin)
