"""The metrics for Prometheus: jobs as the recorder has counted them, queues, workers, parts, and the recorder's lag."""

from collections import Counter
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version

from django.utils import timezone
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from jobroom.events import consumer, heartbeat
from jobroom.exceptions import RedisUnavailable
from jobroom.jobs import metric_counters
from jobroom.live import sockets
from jobroom.queues import broker, queue_rows
from jobroom.workers import health, overview

_PAIR = ("task", "queue")


def exposition(accept: str) -> tuple[bytes, str]:
    """Return everything in the format that is asked for, and its content type."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector())
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Collector(Collector):
    """Reads all numbers again each time; what cannot be read now is left out, and `jobroom_part_up` says why."""

    def describe(self) -> list[Metric]:
        """Promise nothing beforehand: asking now would read everything twice."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        yield from _read(_build)
        yield from _read(_parts)
        if health.recent().parts["redis"].ok:  # else each of them would wait for it again
            for part in (_jobs, _queues, _workers, _recorder, _sockets):
                yield from _read(part)


def _read(part: Callable[[], Iterator[Metric]]) -> list[Metric]:
    try:
        return list(part())
    except (*broker.AWAY, RedisUnavailable):
        return []


def _build() -> Iterator[Metric]:
    try:
        number = version("django-jobroom")
    except PackageNotFoundError:
        number = "source"
    found = GaugeMetricFamily("jobroom_build_info", "The version that answers.", labels=["version"])
    found.add_metric([number], 1)
    yield found


def _parts() -> Iterator[Metric]:
    found = GaugeMetricFamily("jobroom_part_up", "Whether a part is in order, as /readyz says it.", labels=["part"])
    for name, part in health.recent().parts.items():
        found.add_metric([name], float(part.ok))
    yield found


def _jobs() -> Iterator[Metric]:
    counted = metric_counters.read()
    ended = CounterMetricFamily(
        "jobroom_jobs", "Jobs that ended, by the state they ended in.", labels=[*_PAIR, "state"]
    )
    for labels, number in sorted(counted.ended.items()):
        ended.add_metric(labels, number)
    yield ended
    for name, text, histograms in (
        ("jobroom_job_wait_seconds", "From a job's turn to its start.", counted.wait),
        ("jobroom_job_duration_seconds", "From a job's start to its end.", counted.took),
    ):
        family = HistogramMetricFamily(name, text, labels=_PAIR)
        for pair, histogram in sorted(histograms.items()):
            family.add_metric(pair, histogram.cumulated(), histogram.sum)
        yield family


def _queues() -> Iterator[Metric]:
    depth = GaugeMetricFamily("jobroom_queue_depth", "Messages that wait in a queue.", labels=["queue"])
    age = GaugeMetricFamily(
        "jobroom_queue_oldest_seconds", "How long the message that is next waits.", labels=["queue"]
    )
    processes = GaugeMetricFamily("jobroom_queue_processes", "Processes that take from a queue.", labels=["queue"])
    paused = GaugeMetricFamily("jobroom_queue_paused", "Whether a queue is paused.", labels=["queue"])
    now = timezone.now()
    for row in queue_rows.rows():
        if row.depth is not None:
            depth.add_metric([row.name], row.depth)
        age.add_metric([row.name], (now - row.oldest).total_seconds() if row.oldest else 0)
        processes.add_metric([row.name], row.processes)
        paused.add_metric([row.name], float(row.paused is not None))
    yield from (depth, age, processes, paused)


def _workers() -> Iterator[Metric]:
    found = heartbeat.workers()
    states = Counter(row.state for row in overview.rows(found))
    workers = GaugeMetricFamily("jobroom_workers", "Workers, by state.", labels=["state"])
    for state in overview.STATES:
        workers.add_metric([state], states[state])
    yield workers
    yield GaugeMetricFamily(
        "jobroom_processes", "Processes of living workers.", sum(w.concurrency for w in found if w.alive)
    )
    running = sum(len(worker.running) for worker in found if worker.alive)
    yield GaugeMetricFamily("jobroom_jobs_running", "Jobs that living workers run.", running)


def _recorder() -> Iterator[Metric]:
    lag = consumer.lag()
    yield GaugeMetricFamily("jobroom_recorder_lag_events", "Events that are not in the history yet.", lag.entries)
    yield GaugeMetricFamily("jobroom_recorder_lag_seconds", "How old the oldest of them is.", lag.seconds)


def _sockets() -> Iterator[Metric]:
    yield GaugeMetricFamily("jobroom_sockets", "Open sockets of all web processes.", sockets.number())
