"""The doctor's checks of running processes: workers, schedulers, their clocks, and how Redis is set."""

import time
from collections import defaultdict
from typing import Any

from celery import current_app

from jobroom import redis
from jobroom.celery import beat
from jobroom.events import heartbeat
from jobroom.jobs.gate import default_queue
from jobroom.workers.doctor.findings import Check, Found, error, ok, our_tasks, shortened, warning
from jobroom.workers.rescue import living_and_gone

# Seconds by which a clock may be wrong: schedules and times to come are up to so much early or late.
SKEW = 2.0
SKEW_MUCH = 30.0
# Share of Redis's memory above which it is said to be nearly full.
FULL = 0.9
_WORKERS = "jobroom:workers:workers"
# Pools that hold time limits: docs/reference/pools.md.
SOFT = frozenset({"prefork"})
HARD = frozenset({"prefork", "gevent"})


def queues() -> Found:
    """Find the queues that tasks are sent to and no worker serves."""
    name = "queues of tasks"
    living, _ = living_and_gone(heartbeat.workers())
    served = {queue for worker in living for queue in worker.queues}
    unserved: dict[str, list[str]] = defaultdict(list)
    for task in our_tasks():
        queue = default_queue(task)
        if queue not in served:
            unserved[queue].append(task.name)
    for queue, tasks in sorted(unserved.items()):
        detail = f"No worker serves the queue {queue}, to which these tasks go: {shortened(tasks)}."
        yield error(name, detail, f"Start a worker with -Q {queue}, or correct CELERY_TASK_ROUTES.", _WORKERS)
    if not unserved:
        yield ok(name, "Every task goes to a queue that a worker serves.")


def limits_of_pools() -> Found:
    """Find time limits of tasks that the pool of a running worker does not hold."""
    name = "time limits of pools"
    common = current_app.conf
    soft, hard = common.task_soft_time_limit, common.task_time_limit
    found = False
    for worker in heartbeat.workers():
        if not worker.alive:
            continue
        tasks = [task for task in our_tasks() if default_queue(task) in worker.queues]
        for kind, holding, limited in (
            ("soft", SOFT, [task.name for task in tasks if task.soft_time_limit or soft]),
            ("hard", HARD, [task.name for task in tasks if task.time_limit or hard]),
        ):
            if limited and worker.pool not in holding:
                found = True
                detail = f"The pool {worker.pool} of {worker.name} holds no {kind} time limit, and these have one: {shortened(limited)}."
                yield warning(name, detail, f"Run them in a pool that does: {' or '.join(sorted(holding))}.", _WORKERS)
    if not found:
        yield ok(name, "Every running worker holds the limits of its tasks.")


def schedulers() -> Found:
    """Find schedulers that send each due job once more."""
    name = "schedulers"
    running = beat.running()
    stock = [one for one in running if not one.ours]
    places = ", ".join(f"{one.scheduler} on {one.host} (pid {one.pid})" for one in running)
    if stock and len(running) > 1:
        yield error(
            name,
            f"Each of them sends every due job, so jobs run {len(running)} times: {places}.",
            "Stop all but one, or set CELERY_BEAT_SCHEDULER to jobroom.schedules.scheduler:Scheduler, of which any number may run.",
        )
    elif stock:
        yield warning(
            name,
            f"It sends nothing twice only while it is alone: {places}.",
            "Set CELERY_BEAT_SCHEDULER to jobroom.schedules.scheduler:Scheduler.",
        )
    else:
        yield ok(name, f"{len(running)} run; each due time is sent once." if running else "None has been seen.")


def clocks() -> Found:
    """Compare the clocks of this machine, of Redis and of all workers."""
    name = "clocks"
    skews = {"this machine": _own_skew()}
    for worker in heartbeat.workers():
        if worker.clock and worker.alive:
            skews[worker.name] = worker.clock - worker.seen
    off = {who: skew for who, skew in skews.items() if abs(skew) > SKEW}
    if off:
        make = error if max(map(abs, off.values())) > SKEW_MUCH else warning
        said = "; ".join(f"{who} by {skew:+.1f} s" for who, skew in sorted(off.items()))
        detail = f"They differ from that of Redis: {said}. Schedules and delayed jobs are early or late by as much."
        yield make(name, detail, "Let an NTP service set the clocks.", _WORKERS)
    else:
        yield ok(name, f"{len(skews)} agree with that of Redis to {SKEW:g} s.")


def _own_skew() -> float:
    """Return the seconds by which the clock here is ahead for certain, however long the answer took."""
    client = redis.client()
    before = time.time()
    server = redis.now(client)
    return max(0.0, before - server) + min(0.0, time.time() - server)


def server() -> Found:
    """Look whether Redis may throw things away, is nearly full, or does not keep what it has."""
    name = "server of Redis"
    info: Any = redis.client().info()
    most, used, policy = (
        int(info.get("maxmemory", 0)),
        int(info.get("used_memory", 0)),
        info.get("maxmemory_policy", ""),
    )
    good = True
    if most and policy != "noeviction":
        good = False
        detail = f"Its policy is {policy}: when it is full it throws jobs, locks and results away without a word."
        yield error(name, detail, "Set maxmemory-policy to noeviction.")
    if most and used > FULL * most:
        good = False
        detail = f"{used / most:.0%} of its {most / 1e6:,.0f} MB are in use; full, it takes no more jobs."
        yield warning(name, detail, "Raise maxmemory, or purge what is not needed.", "jobroom:queues:queues")
    for field, what in {"rdb_last_bgsave_status": "snapshot", "aof_last_write_status": "journal"}.items():
        if info.get(field, "ok") != "ok":
            good = False
            yield error(
                name, f"It could not write its last {what}: a restart loses jobs.", "Look at its log and its disk."
            )
    if good:
        limit = f"{used / 1e6:,.0f} of {most / 1e6:,.0f} MB" if most else f"{used / 1e6:,.0f} MB, without a limit"
        yield ok(name, f"Uses {limit}; throws nothing away.")


CHECKS: dict[str, Check] = {
    "queues of tasks": queues,
    "time limits of pools": limits_of_pools,
    "schedulers": schedulers,
    "clocks": clocks,
    "server of Redis": server,
}
