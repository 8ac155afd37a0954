"""What a job says is bounded wherever it is shown, and kept whole as files of the job where its task asks for that."""

import pytest

from jobroom import redis
from jobroom.jobs.models import Job, State, StoredFile
from jobroom.testing import wait_until
from jobroom.testing.processes import Recorder, Worker, running
from tests.acceptance.scratch import ScratchApp

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True), pytest.mark.timeout(480)]

MEGA = 1_000_000
TASKS = """
    import logging

    from image.celery import app

    MEGA = 1_000_000


    @app.task(bind=True, keep_whole=True)
    def loud(self, text):
        logging.getLogger("loud").warning("o" * 3 * MEGA)
        self.progress(1, 3, "p" * MEGA)
        self.log("info", "l" * MEGA, obj="b" * MEGA)
        raise ValueError("x" * 5 * MEGA)


    @app.task(bind=True)
    def quiet(self, text):
        raise ValueError("x" * 5 * MEGA)
"""


def test_megabytes_are_bounded_in_the_history_on_the_page_and_in_the_workers_log(tmp_path, admin_client):
    redis.client().flushdb()
    scratch = ScratchApp(tmp_path, TASKS)
    from image.celery import app

    with running(Recorder()), Worker(concurrency=1, env=scratch.env) as worker:
        ids = [app.send_task(f"scratch.tasks.{name}", ["a" * MEGA]).id for name in ("loud", "quiet")]
        wait_until(lambda: Job.objects.filter(pk__in=ids, state=State.FAILED).count() == 2, 60, worker.log[-3000:])
        wait_until(lambda: StoredFile.objects.filter(job_id=ids[0]).count() == 2, 60)
    loud, quiet = (Job.objects.get(pk=pk) for pk in ids)
    for job in (loud, quiet):
        assert "bytes left out" in job.error
        assert "bytes left out" in job.traceback
        assert len(job.error) + len(job.traceback) < 65_000
        assert len(job.label) <= 120
        page = admin_client.get(f"/jobs/{job.pk}/").content
        assert b"bytes left out" in page
        assert len(page) < 300_000
    (line,) = loud.log_lines.all()
    assert (len(line.message) <= 10_000, len(line.obj) <= 255) == (True, True)
    assert "bytes left out" in line.message
    assert len(loud.progress["message"]) <= 500
    assert "bytes left out" in loud.progress["message"]
    assert max(map(len, worker.log.splitlines())) < 11_000
    assert "bytes left out … ooo" in worker.log
    whole = {file.name: file.path.read_text() for file in StoredFile.objects.filter(job_id=loud.pk)}
    assert set(whole) == {"error.txt", "log-line.txt"}
    assert "x" * 5 * MEGA in whole["error.txt"]
    assert whole["log-line.txt"] == "l" * MEGA
    assert not StoredFile.objects.filter(job_id=quiet.pk).exists()
    assert b"error.txt" in admin_client.get(f"/jobs/{loud.pk}/").content
