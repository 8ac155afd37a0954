"""A scheduler reads the rows that changed, and all of them only where no one says which."""

import pytest
from django.db import transaction
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask, PeriodicTasks

from jobroom.schedules import agenda, services
from jobroom.schedules.models import ScheduleMark
from jobroom.schedules.scheduler import Scheduler
from jobroom.schedules.services import marks
from jobroom.schedules.tests.test_scheduler import _names, _row, _tick

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sql]


@pytest.fixture
def read(monkeypatch):
    """What was read: the ids of single rows, and None for all."""
    found = []
    one, every = agenda.Agenda.read, agenda.Agenda.read_all
    monkeypatch.setattr(agenda.Agenda, "read", lambda self, named: (found.append(set(named)), one(self, named)))
    monkeypatch.setattr(agenda.Agenda, "read_all", lambda self, **how: (found.append(None), every(self, **how)))
    return found


def look(scheduler):
    scheduler._checked_at = float("-inf")
    _tick(scheduler)


def names(scheduler):
    return sorted(entry.name for entry in scheduler.schedule.values())


def test_each_change_of_one_row_has_that_row_read(app, sent, read):
    first, second = _row("First", ago=0), _row("Second", ago=0)
    scheduler = Scheduler(app)
    look(scheduler)
    assert read == [None]
    read.clear()

    new = _row("New", ago=0)
    look(scheduler)
    assert read == [{new.pk}]
    new.name = "Newer"
    new.save()
    gone = first.pk
    first.delete()
    look(scheduler)
    assert read[1:] == [{new.pk, gone}]
    assert names(scheduler) == ["Newer", "Second"]
    services.pause(second, by=None, reason="")
    look(scheduler)
    services.resume(second)
    services.skip(second)
    services.policy.change(second, by=None, given={"jitter": 5})
    look(scheduler)
    assert read[2:] == [{second.pk}] * 2
    assert scheduler.schedule[second.pk].model.policy.jitter == 5
    assert sent == []


def test_a_changed_row_that_is_due_is_sent_once_and_as_it_is_now(app, sent):
    row = _row(ago=0, kwargs='{"old": 1}')
    scheduler = Scheduler(app)
    look(scheduler)
    for number in range(3):  # each leaves an event in the heap that no one wants
        row.kwargs = "{}"
        row.description = str(number)
        row.save()
        look(scheduler)
    row.last_run_at = timezone.now() - timezone.timedelta(hours=2)
    PeriodicTask.objects.filter(pk=row.pk).update(last_run_at=row.last_run_at)
    row.save()
    look(scheduler)
    look(scheduler)
    assert _names(sent) == ["Clean"]
    assert sent[0][1]["body"][1] == {}


def test_a_new_crontab_concerns_no_one_and_a_changed_one_its_schedules(app, read):
    crontab = CrontabSchedule.objects.create(minute="0")
    row, other = _row("Hourly", ago=0), _row("Other", ago=0)
    row.interval, row.crontab = None, crontab
    row.save()
    scheduler = Scheduler(app)
    look(scheduler)
    read.clear()
    CrontabSchedule.objects.create(minute="1")
    IntervalSchedule.objects.create(every=3, period="days").delete()
    look(scheduler)
    assert read == []
    crontab.minute = "30"
    crontab.save()
    look(scheduler)
    assert read == [{row.pk}]
    crontab.delete()
    look(scheduler)
    assert names(scheduler) == ["Other"]
    assert other.pk in scheduler.schedule


def test_who_does_not_say_what_changed_has_all_rows_read_also_among_marks(app, read):
    rows = [_row(f"Row {number}", ago=0) for number in range(3)]
    scheduler = Scheduler(app)
    look(scheduler)
    read.clear()
    rows[0].save()
    PeriodicTask.objects.filter(pk=rows[1].pk).update(enabled=False)
    PeriodicTasks.update_changed()
    rows[2].save()
    look(scheduler)
    assert read == [None]
    assert names(scheduler) == ["Row 0", "Row 2"]


def test_more_marks_than_are_kept_and_too_many_rows_for_one_have_all_read(app, read, monkeypatch):
    monkeypatch.setattr(marks, "MOST_KEPT", 4)
    monkeypatch.setattr(marks, "MOST_NAMED", 2)
    rows = [_row(f"Row {number}", ago=0) for number in range(3)]
    scheduler = Scheduler(app)
    look(scheduler)
    for _ in range(9):
        rows[0].save()
    look(scheduler)
    assert read == [None, None]
    assert ScheduleMark.objects.count() <= 8
    services.set_enabled(PeriodicTask.objects.all(), enabled=False)
    look(scheduler)
    assert read == [None, None, None]
    assert names(scheduler) == []


def test_a_change_that_is_taken_back_leaves_no_mark(app, read):
    row = _row(ago=0)
    scheduler = Scheduler(app)
    look(scheduler)
    before = PeriodicTasks.last_change()
    with transaction.atomic():
        row.save()
        transaction.set_rollback(True)
    assert PeriodicTasks.last_change() == before
    look(scheduler)
    assert read == [None]


def test_a_lost_claim_has_that_row_read(app, sent, read):
    rows = [_row(f"Row {number}") for number in range(3)]
    first, second = Scheduler(app), Scheduler(app)
    first._refresh()
    second._refresh()
    _tick(first)
    _tick(second)
    look(second)
    assert read == [None, None, {row.pk for row in rows}]
    assert len(sent) == 3


def test_all_rows_are_read_in_pieces_between_which_what_is_due_is_sent(app, sent, monkeypatch):
    monkeypatch.setattr(agenda, "PIECE", 2)
    rows = [_row(f"Row {number}", ago=7200 if number == 0 else 0) for number in range(7)]
    scheduler = Scheduler(app)
    scheduler.tick()
    assert _names(sent) == ["Row 0"]
    assert len(scheduler.schedule) == 2
    late = _row("Late", ago=0)
    rows[5].delete()
    look(scheduler)
    assert set(scheduler.schedule) == {row.pk for row in (*rows, late) if row.pk}
    known = {pk: entry for pk, entry in scheduler.schedule.items() if pk != rows[3].pk}
    PeriodicTask.objects.filter(pk=rows[3].pk).update(description="changed")
    PeriodicTask.objects.filter(pk=rows[4].pk).delete()
    PeriodicTasks.update_changed()
    look(scheduler)
    assert set(scheduler.schedule) == set(known) - {rows[4].pk} | {rows[3].pk}
    assert all(scheduler.schedule[pk] is entry for pk, entry in known.items() if pk in scheduler.schedule)
    scheduler._reload_soon()
    look(scheduler)
    assert not any(scheduler.schedule[pk] is entry for pk, entry in known.items() if pk in scheduler.schedule)
    assert len(scheduler.schedule) == 6


def test_many_schedules_are_left_alone_by_the_garbage_collector_once_they_are_read(app, monkeypatch):
    frozen = []
    monkeypatch.setattr(agenda, "MANY", 3)
    monkeypatch.setattr(agenda.gc, "freeze", lambda: frozen.append(1))
    for number in range(4):
        _row(f"Row {number}", ago=0)
        if number == 1:
            look(Scheduler(app))  # two are few
            assert frozen == []
    scheduler = Scheduler(app)
    look(scheduler)
    scheduler._reload_soon()
    look(scheduler)
    assert frozen == [1]
