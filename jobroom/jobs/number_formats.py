"""How percentages, durations and moments are written, the same on pages, in the admin and in terminals."""

from datetime import UTC, datetime, timedelta

from django.utils import timezone


def number_of(number: int, one: str, many: str) -> str:
    """Return a number with its noun."""
    return f"{number:,} {one if number == 1 else many}"


def percent(fraction: float | None) -> str:
    """Return a share of 1 in whole percent, rounded down as scripts do it: 100% is said of what is done alone."""
    # The small addition is for shares such as 0.29, which a computer holds as 0.28999….
    return "" if fraction is None else f"{int(min(1.0, max(0.0, fraction)) * 100 + 1e-9)}%"


def duration(value: timedelta | float | None) -> str:
    """Return a length of time in its two largest units, with milliseconds where it is short; a number is of seconds."""
    if value is None:
        return "—"
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s" if seconds < 60 else short(seconds)


def short(seconds: float) -> str:
    """Return seconds in whole units: the two largest, or one where the second says little."""
    minutes, hours, days = seconds / 60, seconds / 3600, seconds / 86400
    if seconds < 60:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{int(minutes)} min {int(seconds % 60)} s" if minutes < 10 else f"{int(minutes)} min"
    if hours < 24:
        return f"{int(hours)} h {int(minutes % 60)} min"
    return f"{int(days)} d {int(hours % 24)} h" if days < 10 else f"{int(days)} d"


def clock(moment: datetime | float) -> str:
    """Return a moment for a sentence, with its zone; of another day with the day. A number is of seconds since 1970."""
    at = timezone.localtime(moment if isinstance(moment, datetime) else datetime.fromtimestamp(moment, UTC))
    day = "" if at.date() == timezone.localdate() else "%Y-%m-%d "
    return at.strftime(f"{day}%H:%M:%S %Z")
