"""The commands of the operator: what they say, and their exit codes."""

import io

import pytest
from django.core.management import CommandError, call_command

from image.celery import app
from jobroom import locks, redis
from jobroom.audit.models import Act
from jobroom.locks import ExclusiveLock

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _empty_redis():
    redis.client().flushdb()


def said(*arguments, **options) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out, **options)
    return out.getvalue()


def test_pause_and_resume(django_user_model):
    assert "is paused" in said("pause", "queue", "default", reason="deploy")
    with pytest.raises(CommandError, match="paused already"):
        said("pause", "queue", "default", reason="again")
    assert "paused by" in said("queues")
    django_user_model.objects.create_user("clerk", is_staff=True)
    with pytest.raises(CommandError, match="needs the permission"):
        said("resume", "queue", "default", user="clerk")
    django_user_model.objects.create_superuser("boss")
    assert "is resumed" in said("resume", "queue", "default", user="boss")
    with pytest.raises(CommandError, match="not paused"):
        said("resume", "queue", "default")
    assert Act.objects.newest_first()[0].who == "boss"


def test_purge_says_first_how_many_and_does_it_when_confirmed():
    app.send_task("demo.echo", queue="heavy")
    assert "1 messages wait" in said("queues", "purge", "heavy")
    with pytest.raises(CommandError, match="Say why"):
        said("queues", "purge", "heavy", yes=True)
    assert "Removed 1 message" in said("queues", "purge", "heavy", yes=True, reason="wrong")
    with pytest.raises(CommandError, match="Name the queue and the target"):
        said("queues", "move", "heavy")


def test_locks_are_listed_and_broken():
    with ExclusiveLock("import"):
        assert "import" in said("locks")
        with pytest.raises(CommandError, match="Say why"):
            said("locks", name="import")
        assert "Broke the lock import" in said("locks", name="import", reason="stuck")
        assert locks.holders() == []
        with pytest.raises(CommandError, match="is free"):
            said("locks", name="import", reason="stuck")
    assert said("locks").strip() == "No lock is held."
    assert Act.objects.newest_first()[0].kind == "lock"
