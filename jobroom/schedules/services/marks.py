"""Which schedules changed: each change leaves a mark that names them, so that a scheduler reads those alone.

django-celery-beat's one row `PeriodicTasks` says when something changed last, and stays what all look at. A mark says from
which of these moments to which the change led. A moment to which no marks lead was written by others, who do not say what they
changed: all rows are read again.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F
from django.db.models.signals import post_delete, post_save, pre_delete
from django.utils import timezone
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    PeriodicTasks,
    SolarSchedule,
)

from jobroom.schedules.models import ScheduleMark

TIMED = (IntervalSchedule, CrontabSchedule, SolarSchedule, ClockedSchedule)
# Schedules that one mark names at most, and marks that are kept: a scheduler that is further behind reads all rows.
MOST_NAMED, MOST_KEPT = 1000, 500


def take_over() -> None:
    """Let marks take the place of django-celery-beat's signals, which do not say what changed; twice is the same as once."""
    # A row that says otherwise for itself is left to django-celery-beat.
    PeriodicTask.no_changes = True
    for timed in TIMED:
        for signal in (post_save, pre_delete, post_delete):
            signal.disconnect(PeriodicTasks.update_changed, sender=timed)


def is_quiet(row: PeriodicTask) -> bool:
    """Return whether who saves this row wants no scheduler to notice, as django-celery-beat's scheduler does with runs."""
    return bool(vars(row).get("no_changes", False))


def changed(rows: Iterable[int]) -> None:
    """Mark that these schedules changed, are new, or are gone."""
    named = sorted(set(rows))
    if not named:
        return
    with transaction.atomic():
        # A write first: it holds up all who mark at the same time, until this is committed.
        PeriodicTasks.objects.filter(ident=1).update(last_update=F("last_update"))
        before, after = PeriodicTasks.last_change(), timezone.now()
        if before is not None:
            after = max(after, before + timedelta(microseconds=1))
        PeriodicTasks.objects.update_or_create(ident=1, defaults={"last_update": after})
        kept = named if len(named) <= MOST_NAMED else None
        mark = ScheduleMark.objects.create(before=before, after=after, rows=kept)
        if mark.pk % MOST_KEPT == 0:
            ScheduleMark.objects.filter(pk__lte=mark.pk - MOST_KEPT).delete()


def between(before: datetime | None, after: datetime | None) -> set[int] | None:
    """Return the schedules that changed from one last change to another; None where it may be all of them."""
    if before is None or after is None:
        return None
    newest = ScheduleMark.objects.order_by("-pk").values_list("after", "before", "rows")[:MOST_KEPT]
    marks = {mark: (earlier, rows) for mark, earlier, rows in newest}
    found: set[int] = set()
    while after != before:
        earlier, rows = marks.pop(after, (None, None))
        if earlier is None or rows is None:
            return None
        found.update(rows)
        after = earlier
    return found
