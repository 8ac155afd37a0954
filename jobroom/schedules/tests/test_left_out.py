"""One run is left out, the next or a later one."""

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from jobroom.audit.models import Act
from jobroom.schedules import entries, services
from jobroom.schedules.models import ScheduleDetail, ScheduledRun
from jobroom.schedules.scheduler import Scheduler
from jobroom.schedules.services import pauses, policy
from jobroom.schedules.tests.test_pauses import _empty, _row, ada
from jobroom.testing import transactions

__all__ = ["_empty", "ada"]

# Beat closes connections between its looks, which no test transaction would survive.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sql]


class TestLeftOut:
    """One run, the next or a later one, is left out; those before and after it take place."""

    def runs(self, row):
        return [(run.due, run.state, run.reason) for run in ScheduledRun.objects.filter(row=row).order_by("due")]

    def look(self, app, row, ago):
        """Let a scheduler find the schedule as it is so many hours after its last run."""
        last = timezone.now() - timedelta(hours=ago, seconds=5)
        PeriodicTask.objects.filter(pk=row.pk).update(last_run_at=last)
        scheduler = Scheduler(app)
        while scheduler.tick() == 0:
            pass
        return last

    def test_a_later_run(self, app, sent, ada):
        row = _row(after=0)
        third = services.next_runs(row, 3)[2]
        assert services.skip(row, third + timedelta(milliseconds=300)) == third
        self.look(app, row, 1)
        assert len(sent) == 1
        ScheduleDetail.objects.update(skip_at=timezone.now() - timedelta(minutes=1))  # two hours later
        last = self.look(app, row, 1)
        # It was due before the moment that was chosen, as no other run is: an interval counts from the last run.
        assert len(sent) == 1
        assert self.runs(row) == [(last + timedelta(hours=1), "skipped", "skipped: it was to be left out")]
        assert ScheduleDetail.objects.get().skip_at is None
        self.look(app, row, 1)
        assert len(sent) == 2

    def test_when_the_runs_take_place_is_computed_outside_a_transaction(self, app, sent, monkeypatch):
        computed = transactions.noted(monkeypatch, entries.RowEntry, "start_of")
        row = _row(after=0)
        policy.change(row, by=None, given={"missed": "all"})
        pauses._detail(row, skip_at=timezone.now() - timedelta(hours=1))
        self.look(app, row, 3)
        assert [state for _, state, _ in self.runs(row)].count("skipped") == 1
        assert computed
        assert not any(computed)

    @pytest.mark.usefixtures("one_moment")
    @pytest.mark.parametrize(("missed", "states"), [("once", "missed skipped"), ("all", "sent skipped sent")])
    def test_one_that_lies_among_those_that_were_missed(self, app, sent, missed, states):
        row = _row(after=0)
        policy.change(row, by=None, given={"missed": missed})
        last = timezone.now() - timedelta(hours=3, seconds=5)
        pauses._detail(row, skip_at=last + timedelta(hours=2))
        self.look(app, row, 3)
        if missed == "all":
            self.look(app, row, 0)
        found = self.runs(row)
        assert [str(state) for _, state, _ in found] == states.split()
        assert abs(found[1][0] - (last + timedelta(hours=2))) < timedelta(seconds=1)
        assert len(sent) == states.count("sent") + (missed == "once")

    def test_page(self, client, ada):
        client.force_login(ada)
        row = _row(ada, after=0)
        address = f"/schedules/{row.pk}/"
        runs = services.next_runs(row, 10)
        shown = client.get(address).content.decode()
        assert shown.count('name="at"') == 10
        answer = client.post(f"{address}skip/", {"at": runs[4].isoformat()}, follow=True).content.decode()
        assert "is left out; the one after it takes place" in answer
        assert answer.count("left-out") == 1
        assert answer.count("Skip this instead") == 9
        assert "the one before is left out" not in client.get("/schedules/").content.decode()
        for wrong in ("soon", (runs[4] + timedelta(minutes=7)).isoformat()):
            client.post(f"{address}skip/", {"at": wrong})
            assert ScheduleDetail.objects.get().skip_at == runs[4]
        client.post(f"{address}skip/")
        assert "the one before is left out" in client.get("/schedules/").content.decode()

    def test_api(self, client, ada):
        client.force_login(ada)
        row = _row(ada, after=0)
        address, kind = f"/api/schedules/{row.pk}/", {"content_type": "application/json"}
        runs = client.get(address).json()["next_runs"]
        assert client.post(f"{address}skip/", {"at": runs[3]}, **kind).json()["next_run"] is not None
        shown = client.get(address).json()
        assert shown["next_runs"] == runs
        assert ScheduleDetail.objects.get().skip_at.isoformat() == runs[3]
        assert Act.objects.filter(action="skipped a run of").count() == 1
        wrong = client.post(f"{address}skip/", {"at": "2020-01-01T10:00:00Z"}, **kind)
        assert wrong.status_code == 400
        assert "None of its next 100 runs is then" in wrong.json()["errors"]["at"][0]

    def test_command(self, capsys):
        row = _row(after=0)
        at = services.next_runs(row, 2)[1]
        call_command("schedules", "skip", "Shear", "--at", at.isoformat())
        assert f"The run of {at.isoformat()} is left out." in capsys.readouterr().out
        with pytest.raises(CommandError, match="at: None of its next 100 runs"):
            call_command("schedules", "skip", "Shear", "--at", "2020-01-01T10:00")
