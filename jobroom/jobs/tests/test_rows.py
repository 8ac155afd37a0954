"""Rows that the recorder makes, reads and writes itself are those of the ORM."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from django.db import IntegrityError, transaction
from django.db.models import Model

from jobroom.jobs.models import ArchivedResult, Attempt, Job, State
from jobroom.jobs.recorder import rows

pytestmark = pytest.mark.sql

MOMENT = datetime(2027, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
ODD = 'tab\t, line\n, back\\slash, "quotes", \\N, {}, é and 🙂'


def columns(row: Model) -> dict[str, object]:
    """Return the values of all columns but those that the database or the clock makes."""
    return {f.attname: getattr(row, f.attname) for f in row._meta.concrete_fields if f.name not in {"id", "created_at"}}


@pytest.mark.parametrize("model", [Job, Attempt, ArchivedResult])
def test_a_new_row_has_the_defaults_of_its_model(model):
    mine, other = rows.new(model), rows.new(model)
    assert columns(mine) == columns(model())
    assert mine._state.adding
    assert not any(value is getattr(other, name) for name, value in columns(mine).items() if isinstance(value, dict))


def full(job_id: str) -> Job:
    """Return a job with something in every column."""
    return rows.new(
        Job,
        id=job_id,
        task="add",
        state=State.SUCCEEDED,
        args=[1, {"a": ODD}],
        kwargs={ODD: None},
        label=ODD,
        priority=3,
        may_rerun=True,
        attempts=2,
        progress={"fraction": 0.25},
        tags=["x"],
        created_at=MOMENT,
        queued_at=MOMENT.astimezone(timezone(timedelta(hours=5))),
        result=ODD,
        error=ODD,
        last_event=2**52,
        facts={"waited": ["e"]},
    )


@pytest.mark.django_db
def test_what_is_written_is_what_the_orm_reads():
    job = full("j1")
    rows.insert(Job, [job, rows.new(Job, id="j2")])
    found = Job.objects.get(pk="j1")
    assert columns(found) == columns(job)
    assert (found.created_at, found.state) == (MOMENT, "succeeded")
    assert columns(Job.objects.get(pk="j2")) == columns(Job())


@pytest.mark.django_db
def test_what_is_read_is_what_the_orm_reads():
    rows.insert(Job, [full("j2"), full("j1"), full("j3")])
    loaded = rows.load(Job, "id", ["j2", "j1", "elsewhere"], lock=True)
    assert [job.pk for job in loaded] == ["j1", "j2"]
    assert [columns(job) for job in loaded] == [columns(Job.objects.get(pk=pk)) for pk in ("j1", "j2")]
    assert not loaded[0]._state.adding
    loaded[0].refresh_from_db()


@pytest.mark.django_db
def test_rows_that_are_there_are_overwritten_where_it_is_wanted():
    rows.insert(Job, [full("j1")])
    newer = full("j1")
    newer.error, newer.tags, newer.finished_at = "other", ["y"], MOMENT
    rows.insert(Job, [newer, full("j2")], unique=["id"], update=["error", "finished_at"])
    found = Job.objects.get(pk="j1")
    assert (found.error, found.tags, found.finished_at) == ("other", ["x"], MOMENT)
    assert columns(Job.objects.get(pk="j2")) == columns(full("j2"))


@pytest.mark.django_db
def test_a_row_that_is_there_is_an_error_of_the_orm():
    rows.insert(Job, [full("j1")])
    with pytest.raises(IntegrityError), transaction.atomic():
        rows.insert(Job, [full("j1")])


def loaded(*keys: str) -> list[Job]:
    """Return the rows as the recorder reads them."""
    return rows.load(Job, "id", keys, lock=True)


@pytest.mark.django_db
def test_an_update_writes_what_has_changed_and_nothing_else(django_assert_num_queries):
    rows.insert(Job, [full("j1"), full("j2"), full("j3")])
    one, two, three = loaded("j1", "j2", "j3")
    Job.objects.update(label="by another", note="by another")
    one.state, one.finished_at, one.result, one.note = State.FAILED, MOMENT, {ODD: [None, 1.5]}, "not ours"
    two.error, two.priority, two.run_after = "", None, MOMENT
    with django_assert_num_queries(1):
        rows.update(Job, [one, two, three], keep={"note"})
    found = {job.pk: job for job in Job.objects.all()}
    for job in (one, two, three):
        job.label, job.note = "by another", "by another"
        assert columns(found[job.pk]) == columns(job)


@pytest.mark.django_db
@pytest.mark.parametrize(("before", "after"), [(1, True), (True, 1), (0, False), ([1], [1.0]), (None, 0), (0, None)])
def test_values_that_are_equal_to_python_alone_are_written(before, after):
    job = full("j1")
    job.result = before
    rows.insert(Job, [job])
    (job,) = loaded("j1")
    job.result = after
    rows.update(Job, [job])
    assert repr(Job.objects.get().result) == repr(after)


@pytest.mark.django_db
def test_nothing_changed_is_no_statement(django_assert_num_queries):
    rows.insert(Job, [full("j1")])
    (job,) = loaded("j1")
    job.state, job.note = State.SUCCEEDED, "not ours"
    with django_assert_num_queries(0):
        rows.update(Job, [job], keep={"note"})


@pytest.mark.django_db
def test_keys_that_are_there_are_found():
    rows.insert(Job, [full("j1"), full(ODD)])
    assert rows.present(Job, "id", ["j1", ODD, "elsewhere"]) == {"j1", ODD}
