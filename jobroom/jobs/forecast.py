"""When a running job should end: what earlier jobs of its task took, blended with its own pace, as a range."""

from collections.abc import Sequence

# A history of fewer jobs tells nothing.
LEAST = 3
# Without a history its own pace is believed from this share on: the first steps of most jobs are not like the others.
PACE_ALONE = 0.25
# The pace is looked at from this share on.
PACE = 0.05


def left(times: Sequence[float], fraction: float | None, spent: float) -> tuple[float, float] | None:
    """Return the least and the most seconds that the job should still take; None where no one can know.

    Args:
        times: what the latest jobs of the task took, in seconds.
        fraction: how much of it is done, by its own progress; None when it tells nothing.
        spent: seconds since it began.
    """
    pace = spent / fraction if fraction is not None and fraction >= PACE else None
    usual = _usual(times, spent)
    if usual is None:
        return _by_pace(pace, fraction, spent)
    if pace is None or fraction is None:
        return usual[0] - spent, usual[1] - spent
    # The further it is, the more its own pace tells; at the end it alone does.
    low, high = ((1 - fraction) * total + fraction * pace for total in usual)
    return max(0.0, low - spent), max(0.0, high - spent)


def single(usual: float | None, fraction: float | None, spent: float) -> float | None:
    """Return how many seconds a running job should still take, as one number; None where no one can know.

    Args:
        usual: what jobs of the task usually take, in seconds; None where none has ended yet.
        fraction: how much of it is done, by its own progress; None when it tells nothing.
        spent: seconds since it began.
    """
    pace = spent / fraction if fraction is not None and fraction >= PACE else None
    if pace is None or fraction is None:
        # One that has taken longer than usual, and tells nothing, may take any time.
        return usual - spent if usual is not None and usual > spent else None
    if usual is None or usual <= spent:
        return max(0.0, pace - spent) if fraction >= PACE_ALONE else None
    return max(0.0, (1 - fraction) * usual + fraction * pace - spent)


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
