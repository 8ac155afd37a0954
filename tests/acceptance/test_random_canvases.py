"""Random canvases, run by Celery and by the engine beside each other."""

import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from celery.exceptions import TimeoutError as CeleryTimeout
from celery.result import GroupResult
from celery.states import READY_STATES
from django.db import connection

from jobroom.workflows.exceptions import WorkflowException
from tests.acceptance.random_canvases import Chance, built, in_a_row, shown
from tests.acceptance.test_workflow_canvas import (
    Signatures,
    by_engine,
    comparable,
    linking,
    plain,
    process_group,
    send,
    trace,
    wait_for_silence,
)

SEED = int(os.environ.get("CANVAS_SEED", "1"))
COUNT = int(os.environ.get("CANVAS_COUNT", "25"))

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.xdist_group("canvas"),
    pytest.mark.django_db,
    pytest.mark.timeout(240 + 3 * COUNT),
]


def is_wrong(plan: Any, ends: dict[str, Any], trace: list[Any]) -> bool:
    """Return whether Celery's way is no model: it never ends, calls a failure success, or has three groups in a row.

    Of three groups or chords one after the other Celery makes a chord and a rest that each member of its body sends, or
    chords in bodies of chords; when one of the first two fails it may call the errbacks of no body, those of all, or run the
    third all the same. The causes are in docs/explanation/workflows.md.
    """
    failed = any(entry[0] == "fail" for entry in trace)
    return ends["celery"] is None or (failed and (not ends["celery"][0] or in_a_row(plan) > 2))


def ready(wait: Any) -> Any:
    """Return (failed, value) of a run that has ended, None of one that never will: everything that was sent has run."""
    try:
        return False, wait()
    except CeleryTimeout:
        return None
    except Exception as error:  # noqa: BLE001 — it is compared
        return True, error


def celerys_way(results: list[Any]) -> Callable[[Any, tuple[Any, ...]], Callable[[], Any]]:
    """Return what sends a canvas as Celery does, and keeps its result in `results`."""

    def run(canvas: Any, args: tuple[Any, ...]) -> Callable[[], Any]:
        results.append(canvas.apply_async(args))
        return lambda: plain(results[0])

    return run


def never_ends(result: Any) -> bool:
    """Return whether a result of Celery, or one in it, is still open when nothing runs any more: `get` may raise all the
    same, because of a parent that has failed."""
    if isinstance(result, GroupResult):
        return any(never_ends(child) for child in result.results or ())
    return result.state not in READY_STATES


@pytest.fixture(scope="module")
def found(django_db_setup, django_db_blocker):
    """Run all canvases, both ways."""
    plans = [Chance(SEED * 100_000 + number).plan() for number in range(COUNT)]
    rows = []
    with django_db_blocker.unblock(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with process_group():
            results: list[list[Any]] = [[] for _ in plans]
            waits = [
                {
                    way: send(lambda p=plan, n=f"{way}:{number}": built(p, Signatures(n), linking), run, ())
                    for way, run in (("celery", celerys_way(results[number])), ("engine", by_engine))
                }
                for number, plan in enumerate(plans)
            ]
            wait_for_silence()
            from tests.acceptance import test_workflow_canvas as canvases

            before, canvases.SLOW = canvases.SLOW, 2.0
            try:
                for number, (plan, wait) in enumerate(zip(plans, waits, strict=True)):
                    ends = {way: ready(wait[way]) for way in wait}
                    if any(map(never_ends, results[number])):
                        ends["celery"] = None
                    traces = {way: trace(f"{way}:{number}") for way in wait}
                    rows.append((plan, ends, traces))
            finally:
                canvases.SLOW = before
        connection.close()
    return rows


def test_no_workflow_hangs(found):
    assert [shown(plan) for plan, ends, _ in found if ends["engine"] is None] == []


def test_the_same_tasks_callbacks_and_errbacks_run(found):
    wrong = [shown(plan) for plan, ends, traces in found if is_wrong(plan, ends, traces["celery"])]
    different = [
        (shown(plan), comparable(traces["celery"], ordered=False), comparable(traces["engine"], ordered=False))
        for plan, ends, traces in found
        if not is_wrong(plan, ends, traces["celery"])
        and sorted_trace(traces["celery"]) != sorted_trace(traces["engine"])
    ]
    lines = [f"{len(found)} canvases, seed {SEED}; of these Celery is no model for {len(wrong)}:", *wrong]
    sys.stderr.write("\n  ".join(lines) + "\n")
    assert not different, "\n".join("\n    ".join(map(str, row)) for row in different)


def sorted_trace(entries: list[Any]) -> list[str]:
    """Return which tasks and errbacks ran, how often; inner groups of headers are in another order by Celery."""
    return sorted(str([entry[0], entry[1] if entry[0] == "errback" else ""]) for entry in entries)


def test_the_same_kind_of_end(found):
    for plan, ends, traces in found:
        if is_wrong(plan, ends, traces["celery"]):
            continue
        assert ends["engine"][0] == ends["celery"][0], shown(plan)
        if ends["engine"][0]:
            assert isinstance(ends["engine"][1], WorkflowException), shown(plan)
