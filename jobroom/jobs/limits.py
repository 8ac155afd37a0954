"""Quotas of a person: how much one may launch, upload and keep, so that there is room for all others.

The settings say it for everyone; a row of `Allowance` raises it (or lowers it) for a person or a group. The machine
itself, and what a schedule or a workflow sends, is not counted here: it passes no person. All else that a person has run
is: a launch, a retry, each job of a retry of many, a schedule run now, a workflow launched, run again or resumed. Previews
are counted by themselves.
"""

from typing import Any, Literal

from django.db.models import Q, Sum

from jobroom import redis
from jobroom.jobs.conf import settings
from jobroom.jobs.models import WAITING, Allowance, Job, StoredFile
from jobroom.limits import Rate, TooMany, forget, in_words, key, take
from jobroom.users import User

What = Literal["launches", "task_launches", "uploads", "waiting", "bytes"]
_NAMES: dict[What, str] = {
    "launches": "LAUNCHES",
    "task_launches": "TASK_LAUNCHES",
    "uploads": "UPLOADS",
    "waiting": "WAITING_MOST",
    "bytes": "STORED_MOST",
}
# Seconds for which a person's allowances are kept in Redis: a change of a row counts at the latest then.
KEPT = 60
# So long is believed how much room a person had in the queues.
ROOM_KEPT = 300


def allow_launch(by: User | None, task: str) -> None:
    """Count a launch of `by` (None: the machine, which is free); raise TooMany beyond what they may."""
    if by is None:
        return
    allowed = _allowed(by)
    _take(key("launch", by.pk), allowed["launches"], "You have launched many jobs in a short time.")
    _take(key("launch", by.pk, task), allowed["task_launches"], f"You have launched {task} often in a short time.")
    _check_waiting(by, int(allowed["waiting"]))


def allow_preview(by: User | None) -> None:
    """Count a look at what a launch would start, which is built whole for it: as many as launches, and beside them."""
    if by is None:
        return
    _take(key("preview", by.pk), _allowed(by)["launches"], "You have looked at many previews in a short time.")


def allow_upload(by: User | None, size: int) -> None:
    """Count an upload of `by`, `size` bytes; raise TooMany beyond what they may."""
    if by is None:
        return
    allowed = _allowed(by)
    _take(key("upload", by.pk), allowed["uploads"], "You have uploaded many files in a short time.")
    check_room(by, size, int(allowed["bytes"]))


def check_room(by: User | None, size: int, most: int | None = None) -> None:
    """Raise TooMany when `by` keeps more than they may with `size` more bytes."""
    if by is None:
        return
    most = int(_allowed(by)["bytes"]) if most is None else most
    if not most:
        return
    kept = StoredFile.objects.filter(owner=by).aggregate(total=Sum("size"))["total"] or 0
    if kept + size > most:
        raise TooMany(
            f"Your files take {kept / 2**20:,.0f} MB; {most / 2**20:,.0f} MB are allowed. Delete some that you do not need "
            "any more, or ask an administrator for more room.",
            3600,
        )


def _take(name: str, rate: str, what: str) -> None:
    wait = take(name, Rate.parse(str(rate)))
    if wait:
        raise TooMany(
            f"{what} Try again in {in_words(wait)}, or ask an administrator to allow you more ({rate}).", wait
        )


def _check_waiting(by: User, most: int) -> None:
    """Raise TooMany when too many jobs of `by` wait. The table is asked once for all launches that must fit anyway."""
    if not most or _had_room(key("waiting", by.pk)):
        return
    waiting = Job.objects.filter(owner=by, state__in=WAITING).order_by()[: most + 1].count()
    if waiting >= most:
        raise TooMany(
            f"{waiting} of your jobs wait; {most} are allowed. Launch more when some have run, or cancel those that you do "
            "not need.",
            30,
        )
    _note_room(key("waiting", by.pk), most - waiting - 1)


def _had_room(name: str) -> bool:
    try:
        client = redis.client()
        return int(client.decr(name)) >= 0 if client.exists(name) else False
    except (redis.Error, OSError):
        return False


def _note_room(name: str, room: int) -> None:
    try:
        redis.client().set(name, room, ex=ROOM_KEPT)
    except (redis.Error, OSError):
        return  # asked again with the next launch


def _allowed(person: User) -> dict[What, Any]:
    """Return what a person may: the most of their own rows and those of their groups, else what the settings say."""
    found: dict[What, Any] = {what: getattr(settings, name) for what, name in _NAMES.items()}
    for what, value in _rows(person).items():
        found[what] = value
    return found


def _rows(person: User) -> dict[What, Any]:
    name = key("allowance", person.pk)
    try:
        kept: Any = redis.client().hgetall(name)
    except (redis.Error, OSError):
        kept = {}
    if not kept:
        kept = {"": "1", **{what: str(value) for what, value in _asked(person).items()}}
        _keep(name, kept)
    return {what: kept[what] for what in _NAMES if what in kept}


def _asked(person: User) -> dict[What, Any]:
    rows = list(Allowance.objects.filter(Q(user=person) | Q(group__in=person.groups.all())).distinct())
    own = [row for row in rows if row.user_id == person.pk] or rows  # what is said of a person is said for good
    found: dict[What, Any] = {}
    for what in _NAMES:
        values = [value for row in own if (value := getattr(row, what)) not in (None, "")]
        if values:
            found[what] = max(values, key=_size)
    return found


def _size(value: Any) -> float:
    """Return how much a limit allows; none at all is the most."""
    if isinstance(value, int):
        return value or float("inf")
    rate = Rate.parse(value)
    return rate.count / rate.seconds if rate is not None else float("inf")


def _keep(name: str, fields: dict[str, str]) -> None:
    try:
        with redis.client().pipeline() as pipe:
            pipe.hset(name, items=[part for pair in fields.items() for part in pair])
            pipe.expire(name, KEPT)
            pipe.execute()
    except (redis.Error, OSError):
        return  # asked again with the next launch


def forget_allowance(person: int) -> None:
    """Have a person's rows read again with their next launch."""
    forget(key("allowance", person))
    forget(key("waiting", person))
