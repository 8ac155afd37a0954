"""A job's page shows its result in fields, its times as a bar, its log as a file, and its traceback where it failed."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone

from jobroom.jobs import comparison, results, times_bar
from jobroom.jobs.models import Attempt, Job, LogLine, State, StoredFile, TaskRule

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_redis")]


def texts(result):
    return {field.name: field.text for field in results.shown(result).fields}


def test_fields_are_readable():
    shown = texts(
        {
            "share": 0.123456789,
            "count": 1234567,
            "small": 12,
            "done": True,
            "none": None,
            "names": ["a", "b"],
            "box": {"x": 1, "y": 2.5},
        }
    )
    assert shown == {
        "share": "0.123457", "count": "1,234,567", "small": "12", "done": "yes", "none": "—", "names": "a, b", "box": "x: 1, y: 2.5",
    }  # fmt: skip
    assert texts("said") == {"": "said"}
    assert texts([]) == {"": "—"}


def test_what_is_inside_is_fields_again_and_files_have_their_names():
    file = StoredFile(name="bunny.ply", size=1)
    (facts,) = results.shown(
        {"facts": {"faces": 16301, "size": [0.1, 0.2], "file": str(file.pk), "deep": {"a": {"b": 1}}}}, [file]
    ).fields
    assert [(one.name, one.text) for one in facts.fields] == [
        ("faces", "16,301"), ("size", "0.1, 0.2"), ("file", "bunny.ply"), ("deep", '{"a": {"b": 1}}'),
    ]  # fmt: skip


def test_rows_are_a_table_and_secrets_stay_hidden():
    rows = [{"name": f"r{n}", "size": n} for n in range(results.ROWS + 5)]
    (field, secret) = results.shown({"rows": rows, "password": "hush"}).fields
    assert field.table.columns == ["name", "size"]
    assert (len(field.table.rows), field.table.left_out) == (results.ROWS, 5)
    assert "hush" not in secret.text


def test_what_is_deep_or_long_is_cut_and_stays_whole_below(as_staff):
    result = {"deep": {"a": {"b": [1, {"c": 2}]}}, "long": "x" * 5000, **{f"k{n}": n for n in range(100)}}
    Job.objects.create(id="j", task="demo.echo", state=State.SUCCEEDED, result=result, finished_at=timezone.now())
    assert len(results.shown(result).fields) == results.FIELDS
    page = as_staff.get("/jobs/j/").content.decode()
    assert "k99" in page
    assert "x" * 5000 in page


def test_files_are_pictures_and_meshes_in_their_place(as_staff, staff):
    Job.objects.create(id="j", task="demo.echo", state=State.SUCCEEDED, owner=staff, finished_at=timezone.now())
    StoredFile.objects.create(name="front.png", content_type="image/png", size=9, job_id="j")
    StoredFile.objects.create(name="sheep.GLB", size=9, job_id="j")
    StoredFile.objects.create(name="huge.stl", size=results.LARGEST_MESH + 1, job_id="j")
    page = as_staff.get("/jobs/j/").content.decode()
    assert 'alt="front.png" loading="lazy"' in page
    assert page.count("data-mesh=") == 1
    assert 'data-kind="glb"' in page
    assert "js/mesh" in page
    StoredFile.objects.all().delete()
    assert "js/mesh" not in as_staff.get("/jobs/j/").content.decode()


def test_the_bar_has_a_piece_for_each_wait_and_each_attempt():
    now = timezone.now()
    at = [now + timedelta(seconds=n) for n in range(10)]
    job = Job(id="j", state=State.SUCCEEDED, created_at=at[0], queued_at=at[0], started_at=at[5], finished_at=at[9])
    attempts = [
        Attempt(number=2, state=State.SUCCEEDED, started_at=at[5], finished_at=at[9]),
        Attempt(number=1, state=State.FAILED, started_at=at[2], finished_at=at[3]),
    ]
    found = [(piece.state, piece.seconds) for piece in times_bar.pieces(job, attempts)]
    assert found == [("", 2), ("failed", 1), ("", 2), ("succeeded", 4)]
    picture = times_bar.picture(job, attempts)
    assert "Waited for 2.0 s, then attempt 1 failed for 1.0 s" in picture
    assert sum(float(part.split('"')[0]) for part in picture.split('width="')[1:]) == pytest.approx(
        times_bar.WIDE, abs=1
    )
    waiting = Job(id="k", state=State.QUEUED, created_at=at[0], queued_at=at[0])
    assert [piece.words for piece in times_bar.pieces(waiting, [], now=at[4])] == ["waits"]


def test_the_log_is_handed_out_to_those_who_may_read_it(as_ada, ada):
    job = Job.objects.create(id="j", task="demo.echo", state=State.RUNNING, owner=ada)
    LogLine.objects.create(id=1, job=job, at=timezone.now(), level="info", message="hello", obj="row 3")
    answer = as_ada.get("/jobs/j/log/")
    assert answer.content.decode().endswith(" info hello row 3\n")
    assert "attachment" in answer.headers["Content-Disposition"]
    Job.objects.update(owner=None)
    assert as_ada.get("/jobs/j/log/").status_code == 404
    group = Group.objects.create(name="viewers")
    ada.groups.add(group)
    TaskRule.objects.create(task="demo.echo").see.add(group)  # sees the job, and not its inside
    assert as_ada.get("/jobs/j/").status_code == 200
    assert as_ada.get("/jobs/j/log/").status_code == 404


def failing(code, line):
    return f'Traceback (most recent call last):\n  File "{code}", line {line}, in run\n    BROKEN = 1\nValueError: no\n'


def test_the_failing_line_stands_among_its_neighbours_while_the_file_is_as_it_was(
    tmp_path, settings, as_staff, as_ada, ada, client, staff
):
    settings.BASE_DIR = tmp_path
    file = Path(tmp_path / "own.py")
    file.write_text("\n".join(["one = 1"] * 9 + ["BROKEN = 1", "two = 2"]))
    frame = comparison.own_frame(failing(file, 10))
    assert frame.around[-2:] == ((10, "BROKEN = 1"), (11, "two = 2"))
    job = Job.objects.create(
        id="j", task="demo.echo", state=State.FAILED, owner=ada, traceback=failing(file, 10), error="no",
        error_type="ValueError", finished_at=timezone.now(),
    )  # fmt: skip
    as_ada.force_login(ada)
    page = as_ada.get(f"/jobs/{job.pk}/").content.decode()
    assert "one = 1" not in page  # code is for staff
    assert '<details id="traceback" open>' in page
    assert "<mark>  File" in page
    client.force_login(staff)
    assert "<mark>10  BROKEN = 1</mark>" in client.get("/jobs/j/").content.decode()
    file.write_text("another = 1\n")
    assert comparison.own_frame(failing(file, 10)).around == ()
    assert comparison.own_frame(failing("/etc/passwd", 1)).around == ()
