"""The API against its own description: whatever is asked, it answers as described, and never with a fault of its own."""

from contextlib import suppress

import pytest
import schemathesis
from django.contrib.auth.models import User
from django.core.handlers.wsgi import WSGIHandler
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from jobroom import redis
from jobroom.jobs.models import Job
from jobroom.jobs.tokens import new_token

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(800),
    pytest.mark.long,
]
EXAMPLES, FEW = 15, 5
# Addresses that are described to the last status code; others must only never fail.
EXACT = ("/api/jobs/", "/api/tasks/", "/api/files/", "/api/tokens/")
CHECKED = (
    "not_a_server_error",
    "status_code_conformance",
    "response_schema_conformance",
    "content_type_conformance",
)
QUICK = settings(
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)


@pytest.fixture
def token():
    redis.client().flushdb()
    user = User.objects.create_superuser("grace", password="hopper")
    Job.objects.create(id="j1", task="demo.echo", kwargs={"text": "x"}, owner=user)
    return new_token(user, "test")[1]


def asking(operation, headers, mode, examples):
    """Return a function that asks one address what its description allows, or forbids, and checks the answers."""
    names = CHECKED if operation.path.startswith(EXACT) else CHECKED[:1]
    checks = [CHECKS.get_one(name) for name in names]

    @settings(QUICK, max_examples=examples)
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case):
        case.call_and_validate(headers=headers, checks=checks)

    return ask


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_request_is_answered_with_a_fault_of_ours(token, settings_of_files, mode, all_cases):
    load_all_checks()
    schema = schemathesis.openapi.from_wsgi("/api/schema/?format=json", WSGIHandler())
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) >= 15
    # Its client of WSGI says that it takes gzip, and then reads the bytes as they came.
    headers = {"Authorization": f"Token {token}", "Accept-Encoding": "identity"}
    for operation in operations:
        with suppress(Unsatisfiable):  # where there is nothing to forbid
            asking(operation, headers, mode, EXAMPLES if all_cases else FEW)()


@pytest.fixture
def settings_of_files(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
