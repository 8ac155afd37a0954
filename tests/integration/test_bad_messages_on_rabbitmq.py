"""No message takes its worker along, with RabbitMQ as broker."""

import pytest

from demo import tasks as demo
from jobroom.jobs.models import Job, State
from jobroom.testing import wait_until
from jobroom.testing.brokers import broker
from jobroom.testing.processes import Recorder, Worker, running
from jobroom.workers.models import DeadLetter
from tests.acceptance.test_bad_messages import BAD, GOOD, call, put, state_of

pytestmark = [
    pytest.mark.rabbitmq,
    pytest.mark.xdist_group("rabbitmq"),
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(480),
]

# What the protocol itself does not let pass.
REFUSED_BY_RABBITMQ = {"headers"}


def test_no_message_takes_its_worker_along(rabbitmq_url):
    env = {"CELERY_BROKER_URL": rabbitmq_url}
    with broker(rabbitmq_url), running(Recorder()), Worker(concurrency=1, env=env) as worker:
        bad = {name: pair for name, pair in BAD.items() if name not in REFUSED_BY_RABBITMQ}
        good = []
        for body, headers in bad.values():
            put(body, headers)
            good.append(demo.add.delay(1, 2).id)
        put(GOOD, call("pickled"), content_type="application/x-python-serialize")
        put(GOOD, {**call("odd"), "id": 5})
        put("{}", {})
        good.append(demo.add.delay(1, 2).id)
        jobs = [*bad, "pickled"]
        wait_until(lambda: all(state_of(job) == State.SUCCEEDED for job in good), 60)
        wait_until(lambda: {job: state_of(job) for job in jobs} == dict.fromkeys(jobs, State.FAILED), 60)
        wait_until(lambda: DeadLetter.objects.count() == len(jobs) + 2, 60)
        assert worker.popen.poll() is None
    assert all(Job.objects.get(pk=job).error for job in jobs)
