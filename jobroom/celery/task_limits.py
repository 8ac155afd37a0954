"""The worker's side of limits and fair queues: which message may start now, and which is parked.

A worker that receives a message of a limited task, or of a fair queue, asks first whether it may start: one script decides
for all workers. What may not is put among the messages for later (`jobroom.celery.delayed`), without a time, and its
worker is free for others; nothing is held unacknowledged. Whose run ends gives its place back, and the same script hands it
to the next one: each person in turn, in the order in which they came for one person. It goes to the end of its queue's list
that is taken next, so no place stands empty; with a broker that is not Jobroom's Redis it is sent within a second. On a
fair queue the same script looks ahead in the list; so such a queue needs that broker, and with others it is an ordinary one.
Who was handed a place is not asked for again: the script that takes its message from the list (`message_fetch`) brings along
which places it has.

A *group* is what counts together: `<limit>` or `<limit>:<key>` of a task, `queue:<name>` of a fair queue. Keys:

    turns                     set of all groups that have a holder or that someone waits for
    turns:parked, turns:held  hashes: job → the group that it waits for; job → the groups in which it has a place
    turn:<group>:holders      sorted set: job → since when it has a place
    turn:<group>:people       sorted set: person → the number of their last turn; of those who wait
    turn:<group>:of:<person>  list of their jobs that wait
    turn:<group>:gone         sorted set, for a day, the last thousand: jobs that lost their place otherwise than by
                              their run → when; they may lie in the list still
    turn:<group>:info         hash: most, what it is (task, key), number of the last turn, time of the next start (rate)

A place is given back by the end of the run, by the recorder for jobs that ended otherwise, and by the recorder's rounds for
jobs that vanished. Who has a place and comes again, such as after its worker was killed, keeps it.
"""

import dataclasses
import json
import logging
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

from celery import current_app, signals
from celery.worker import state
from kombu.utils.encoding import bytes_to_str

from jobroom import redis, safe_text
from jobroom.celery import batches, debounced, delayed, message_fetch
from jobroom.conf import settings
from jobroom.current_task import get_current_task
from jobroom.events import cancellation, heartbeat
from jobroom.locks.batch import Batch, batch_of
from jobroom.locks.debounce import debounce_of
from jobroom.locks.limit import Limited, limit_of
from jobroom.lua_scripts import source

logger = logging.getLogger(__name__)

ADMIT, RELEASE, REFILL = (source("jobroom.celery", name) for name in ("admit", "release", "refill"))
# Header of a message: the id of the person for whom the job runs.
PERSON = "person"
# What the name of a fair queue's group begins with.
QUEUE = "queue:"
# What stands between the groups in which one job has a place.
SEPARATOR = "\x1f"
# Messages and bytes of a fair queue that one step looks at ahead: a few milliseconds.
AHEAD, AHEAD_BYTES = 200, 1_000_000
# Seconds for which a worker goes by the number of processes that it has counted.
COUNTED = 2.0


# Declarations ----------------------------------------------------------------------------------------------------------

_limits: dict[str, Any] = {}


def declared(task: Any) -> Limited | None:
    """Return the limit of a registered task; one that cannot be understood is logged once, and limits nothing."""
    found: Limited | None = _declared_once(task, "limit", limit_of)
    return found


def _declared_once(task: Any, what: str, read: Any) -> Any:
    """Return what a registered task declares; what cannot be understood is logged once, and changes nothing."""
    place = f"{what} {task.name}"
    if place not in _limits:
        try:
            _limits[place] = read(task)
        except (ValueError, TypeError) as error:
            logger.warning("The %s of the task %s is not kept: %s", what, task.name, error)
            _limits[place] = None
    return _limits[place]


def is_gathered(task: Any) -> bool:
    """Return whether a job of the task may wait for other calls of it: for the last one, or for its batch."""
    return getattr(task, "debounce", None) is not None or isinstance(getattr(task, "batch", None), Batch)


def is_limited(task: Any, queue: str) -> bool:
    """Return whether a job of the task on the queue may have to wait for its turn."""
    return queue in settings.FAIR_QUEUES or (getattr(task, "limit", None) is not None and declared(task) is not None)


# In the worker's main process ------------------------------------------------------------------------------------------


def hold_back(message: Any, app: Any) -> bool:
    """Put a message aside that may not start yet, and acknowledge it; return whether that was done.

    While Redis does not answer the job starts: it was wanted.
    """
    headers = message.headers
    task = app.tasks.get(headers.get("task")) if isinstance(headers, dict) else None
    queue = str((message.delivery_info or {}).get("routing_key") or "")
    if task is None or not (is_limited(task, queue) or is_gathered(task)):
        return False
    due = delayed.due_at(headers.get("eta"), app)
    try:
        if headers.get("id") in state.revoked and not cancellation.is_wanted(headers["id"]):
            return False  # Celery refuses it in a moment: it takes no one's turn
        if due is not None and due > time.time():
            # Until its time it takes no place.
            delayed.keep_text(headers["id"], due + settings.SENT_BEFORE, _text(message))
            message.ack()
            return True
        if not _waits_for_others(task, message) and not _waits_for_turn(task, message, queue):
            return False
    except (redis.Error, OSError) as error:
        logger.warning("The limits of job %s cannot be asked for, it starts: %s", headers.get("id"), error)
        return False
    message.ack()
    return True


def _waits_for_turn(task: Any, message: Any, queue: str) -> bool:
    """Park a job that has no place yet in what it counts for; return whether it was parked."""
    has = _places(message)
    counted = queue in settings.FAIR_QUEUES and _is_counted(queue)
    return any(
        _waits(message, *group)
        for group in _groups(task, message, queue)
        if group[0] not in has or (group[0].startswith(QUEUE) and not counted)
    )


def _places(message: Any) -> list[str]:
    """Return the groups in which the job has a place, as far as they came along with its message."""
    take = getattr(message.channel, "take", None)
    if take is None or not take.places or _popped(message) is None:
        return []
    return str(take.places).split(SEPARATOR)


def _waits_for_others(task: Any, message: Any) -> bool:
    """Keep a job whose turn other calls of its task decide; return whether it was kept."""
    for what, read, keep in (("debounce", debounce_of, debounced.put_off), ("batch", batch_of, batches.gather)):
        if getattr(task, what, None) is None or (found := _declared_once(task, what, read)) is None:
            continue
        call = message.payload[:2]
        key = _key_of(found, message, *call)
        more = (call,) if what == "batch" else ()
        if keep(found, message.headers["id"], _text(message), key, *more):
            return True
    return False


def _key_of(found: Any, message: Any, args: Any, kwargs: Any) -> str:
    try:
        return str(found.key_of(args, kwargs))
    except Exception as error:  # noqa: BLE001 — the boundary: the key is made by a function of the project, of whatever was sent
        logger.warning("The key of job %s is not known: %s", message.headers.get("id"), safe_text.error_text(error))
        return ""


def _groups(task: Any, message: Any, queue: str) -> Iterable[tuple[str, int, float, int, str, str, str]]:
    """Yield what the message counts for: group, most, seconds between two starts, burst, what it is, key, rate."""
    limited = declared(task) if getattr(task, "limit", None) is not None else None
    if limited is not None:
        key = _key_of(limited, message, *message.payload[:2])
        limit = limited.limit
        interval = 1 / limit.per_second if limit.per_second else 0.0
        group = f"{limited.name}:{key}" if key else limited.name
        yield group, limit.most, interval, limit.burst, limited.name, key, limit.rate
    if queue in settings.FAIR_QUEUES and _is_jobrooms(current_app):
        yield f"{QUEUE}{queue}", _processes(queue), 0.0, 1, f"{QUEUE}{queue}", "", ""


def _waits(message: Any, group: str, most: int, interval: float, burst: int, what: str, key: str, rate: str) -> bool:
    headers = message.headers
    person = headers.get(PERSON) or headers.get("owner") or ""
    now, text = time.time(), _text(message)
    values = [
        settings.REDIS_PREFIX, group, headers["id"], most, interval, burst, str(person), text, now,
        delayed.PARKED, settings.SENT_BEFORE, what, key, rate,
        _list_of(text) if what.startswith(QUEUE) else "", AHEAD, AHEAD_BYTES, PERSON,
    ]  # fmt: skip
    return not redis.evaluate(redis.script(ADMIT), [], values)


def _text(message: Any) -> str:
    """Return what brings the message back: the broker's own text with its list where it came from Jobroom's Redis."""
    popped = _popped(message)
    if popped is None:
        return delayed.written(message)
    return json.dumps({"list": popped[0], "raw": message_fetch.with_new_tag(popped[1], message.delivery_tag)})


def _popped(message: Any) -> tuple[str, str] | None:
    """Return list and text of a message that comes from Jobroom's Redis."""
    popped = getattr(message.channel, "popped", None)
    if not popped or not _is_jobrooms(current_app):
        return None
    place, raw = (bytes_to_str(part) for part in popped)
    return (place, raw) if message.headers["id"] in raw else None


def _list_of(text: str) -> str:
    return str(json.loads(text).get("list") or "")


def _is_jobrooms(app: Any) -> bool:
    options = app.conf.broker_transport_options or {}
    return bool(app.conf.broker_url == settings.REDIS_URL and not options.get("global_keyprefix"))


_counted: dict[str, tuple[float, int]] = {}


def _processes(queue: str) -> int:
    """Return how many jobs of a fair queue may be on their way: two for each process, so that none waits for the next."""
    _, number = _counted.get(queue, (0.0, 1))
    if not _is_counted(queue):
        workers = [worker for worker in heartbeat.workers() if worker.alive and queue in worker.queues]
        number = max(2, sum(2 * max(1, worker.concurrency) for worker in workers))
        _counted[queue] = (time.monotonic(), number)
    return number


def _is_counted(queue: str) -> bool:
    """Return whether the processes of a fair queue were counted just now; if not, the group hears of it with the next job."""
    return time.monotonic() - _counted.get(queue, (float("-inf"), 1))[0] <= COUNTED


# At the end of a run ---------------------------------------------------------------------------------------------------


def release(jobs: Iterable[str]) -> int:
    """Give back the places of jobs, and hand them on; return how many jobs had one. Raises the errors of Redis."""
    ids = list(jobs)
    if not ids or not redis.client().exists(redis.key("turns")):
        return 0
    return int(redis.script(RELEASE)([], _release_values(ids, by_run=False), client=redis.client()))


def _release_values(jobs: list[str], *, by_run: bool) -> list[Any]:
    return [settings.REDIS_PREFIX, time.time(), delayed.PARKED, AHEAD, AHEAD_BYTES, PERSON, int(not by_run), *jobs]


def _ended(sender: Any, task_id: str, **_: Any) -> None:
    request = sender.request
    queue = str((request.delivery_info or {}).get("routing_key") or "")
    if request.is_eager or not is_limited(sender, queue):
        return
    try:
        redis.evaluate(redis.script(RELEASE), [], _release_values([task_id], by_run=True))
    except (redis.Error, OSError) as error:
        logger.warning("The place of job %s is given back by the recorder: %s", task_id, error)


def _mark(headers: dict[str, Any], **_: Any) -> None:
    """Let the jobs that a job launches count for the same person."""
    task: Any = get_current_task()
    person = (
        ((task.request.headers or {}).get(PERSON) or getattr(task.request, PERSON, None)) if task is not None else None
    )
    if person:
        headers.setdefault(PERSON, person)


def connect() -> None:
    """Connect to the end of runs; twice is the same as once."""
    signals.task_postrun.connect(_ended, dispatch_uid="jobroom.celery.task_limits")
    signals.before_task_publish.connect(_mark, dispatch_uid="jobroom.celery.task_limits")


# Looked at and mended ---------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Group:
    """What counts together: who has a place, and how many wait."""

    name: str
    what: str  # the name of the limit, or queue:<name>
    key: str
    most: int  # 0: any number
    rate: str
    holders: dict[str, float]  # job → since when, in seconds since 1970
    waiting: int
    people: int  # for how many persons they wait

    @property
    def sentence(self) -> str:
        """Why a job of it waits."""
        of = f" for key {self.key}" if self.key else ""
        if self.what.startswith(QUEUE):
            others = f", {self.people} {'people wait' if self.people != 1 else 'person waits'}"
            return f"each person has a turn on this queue: {len(self.holders)} of {self.most} places are taken{others}"
        if self.most:
            return f"limit reached: {len(self.holders)} of {self.most} running{of}"
        return f"limit reached: at most {self.rate} start{of}"


def groups() -> list[Group]:
    """Return all groups that someone has a place in or waits for; raises the errors of Redis."""
    found: Any = redis.client().smembers(redis.key("turns"))
    return read(sorted(found))


def read(names: Iterable[str]) -> list[Group]:
    """Return these groups, with two questions to Redis however many they are."""
    names = list(names)
    with redis.client().pipeline(transaction=False) as together:
        for name in names:
            base = redis.key("turn", name)
            together.hgetall(f"{base}:info")
            together.zrange(f"{base}:holders", 0, -1, withscores=True)
            together.zrange(f"{base}:people", 0, -1)
        answers: Any = together.execute()
    rows = list(zip(names, answers[::3], answers[1::3], answers[2::3], strict=True))
    lines = [(name, person) for name, _, _, people in rows for person in people]
    with redis.client().pipeline(transaction=False) as together:
        for name, person in lines:
            together.llen(redis.key("turn", name) + f":of:{person}")
        lengths: Any = together.execute()
    waiting: Counter[str] = Counter()
    for (name, _), length in zip(lines, lengths, strict=True):
        waiting[name] += length
    return [_group(name, info, holders, people, waiting[name]) for name, info, holders, people in rows]


def _group(name: str, info: dict[str, str], holders: list[tuple[str, float]], people: list[str], waiting: int) -> Group:
    return Group(
        name=name,
        what=info.get("task", name),
        key=info.get("key", ""),
        most=int(info.get("most", 0)),
        rate=info.get("rate", ""),
        holders=dict(holders),
        waiting=waiting,
        people=len(people),
    )


def sentences(jobs: list[str]) -> dict[str, str]:
    """Return for those of the jobs that wait for their turn why; raises the errors of Redis."""
    if not jobs:
        return {}
    found: Any = redis.client().hmget(redis.key("turns", "parked"), jobs)
    waiting = {job: group for job, group in zip(jobs, found, strict=True) if group}
    known = {group.name: group.sentence for group in read(set(waiting.values()))}
    return {
        **debounced.sentences(jobs),
        **batches.sentences(jobs),
        **{job: known[group] for job, group in waiting.items()},
    }


def refill() -> None:
    """Hand on places that stand empty, such as after a purge of a queue; forget groups that no one needs."""
    names: Any = redis.client().smembers(redis.key("turns"))
    refilled = redis.script(REFILL)
    with redis.client().pipeline(transaction=False) as together:
        for name in names:
            refilled([], [settings.REDIS_PREFIX, time.time(), delayed.PARKED, name], client=together)
        together.execute()
