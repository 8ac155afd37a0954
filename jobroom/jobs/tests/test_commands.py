"""The commands about jobs: what they write and how they exit; following to the end is an acceptance test."""

import io
import json

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from image.celery import app
from jobroom import events
from jobroom.arguments import File
from jobroom.events import cancellation
from jobroom.jobs.follower import Follower
from jobroom.jobs.models import Job, State, StoredFile

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clean(empty_redis):
    return None


@pytest.fixture
def run(capsys):
    def call(*words):
        call_command(*words)
        return capsys.readouterr().out

    return call


def refused(*words):
    with pytest.raises(CommandError) as caught:
        call_command(*words)
    return caught.value.returncode, str(caught.value)


def test_tasks_lists_names_and_arguments(run):
    assert "demo.count_words  text" in run("tasks")
    (task,) = json.loads(run("tasks", "demo.echo", "--json"))
    assert task["arguments"]["properties"]["text"]["type"] == "string"


def test_launch_writes_the_job(run, ada):
    text = run("launch", "demo.wait", "--arg", "secs=3", "--at", "2100-01-01T00:00", "--queue", "heavy")
    job = Job.objects.get()
    assert f"Job {job.pk} is scheduled" in text
    assert (job.kwargs, job.source, job.owner, job.queue) == ({"secs": 3.0}, "command", None, "heavy")
    ada.is_staff = True
    ada.save()
    shown = json.loads(run("launch", "demo.xsum", "--arg=numbers=[1, 2]", "--as", "ada", "--json"))
    assert (shown["arguments"], shown["owner"]) == ({"numbers": [1, 2]}, "ada")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("demo.ecko",), "Did you mean demo.echo"),
        (("demo.echo", "--arg", "txet=1"), "txet: The task has no such argument. Did you mean text?"),
        (("demo.wait", "--arg", "secs=soon"), "secs:"),
        (("demo.echo", "--arg", "nothing"), "not NAME=VALUE"),
        (("demo.echo", "--json-args", "{"), "not JSON"),
        (("demo.echo", "--json-args", "[]"), "JSON object"),
        (("demo.xsum", "--arg", "numbers=1,2"), "numbers: Give JSON"),
        (("demo.echo", "--at", "soon"), "--at: “soon” is no time: write"),
        (("demo.echo", "--as", "nobody"), "no active user"),
    ],
)
def test_wrong_usage_exits_with_2_and_names_the_remedy(words, said):
    code, text = refused("launch", *words)
    assert said in text
    assert code in {1, 2}  # argparse's own errors become 2 on a command line alone
    assert not Job.objects.exists()


def test_a_person_launches_with_their_own_rights(ada):
    code, text = refused("launch", "demo.echo", "--as", "ada")
    assert (code, "Ask an administrator" in text) == (2, True)


def test_a_file_is_given_by_its_path(run, tmp_path, settings):
    settings.MEDIA_ROOT = tmp_path / "files"

    @app.task(name="scratch.read_path", shared=False)
    def read(content: File) -> None:
        """Read."""

    source = tmp_path / "a.txt"
    source.write_text("abc")
    try:
        run("launch", "scratch.read_path", "--arg", f"content={source}")
    finally:
        app.tasks.pop("scratch.read_path")
    stored = StoredFile.objects.get()
    assert Job.objects.get().kwargs == {"content": str(stored.pk)}
    assert stored.path.read_text() == "abc"


def test_jobs_and_show_say_what_the_database_knows(run):
    job = Job.objects.create(id="abcdef", task="demo.echo", state=State.FAILED, error="no", kwargs={"text": "x"})
    Job.objects.create(id="other", task="demo.add")
    assert run("jobs", "--state", "failed").split()[0] == "abcdef"
    assert [row["id"] for row in json.loads(run("jobs", "--json", "--limit", "1"))] == ["other"]
    text = run("show", "abcd")
    for part in ("Failed: demo.echo", 'text = "x"', "error     no"):
        assert part in text
    assert json.loads(run("show", job.pk, "--json"))["state"] == "failed"
    assert refused("show", "nothing") == (2, "There is no job nothing.")
    assert refused("jobs", "--limit", "0")[0] == 2


def test_cancel_and_retry_say_what_happens(run):
    Job.objects.create(id="j1", task="demo.echo", kwargs={"text": "x"})
    assert refused("retry", "j1") == (1, "It has not ended yet.")
    assert "will not start" in run("cancel", "j1")
    assert "command line" in Job.objects.get().cancel_by
    assert refused("cancel", "j1")[0] == 1
    assert "sent again" in run("retry", "j1")
    assert cancellation.requested("j1") is None
    User.objects.create_user("eve")
    for words in (("cancel",), ("retry",)):
        assert refused(*words, "j1", "--as", "eve") == (2, "There is no job j1.")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_a_bar_under_the_log():
    job = Job.objects.create(id="j1", task="demo.echo")
    out = Terminal()
    events.emit("started", "j1", execution="e", task="demo.echo", worker="w", instance="i", pid=1, queue="default")
    events.emit("progress", "j1", execution="e", fraction=0.5, current=1, total=2, message="half", stage="Work")
    events.emit("log", "j1", execution="e", level="warning", message="careful", obj="row 7")
    events.emit("finished", "j1", execution="e", state="succeeded", result='"done"')
    assert Follower(out).follow(job).state == State.SUCCEEDED
    text = out.getvalue()
    assert "[###############...............]  50% Work · half" in text
    assert "warning careful [row 7]\n[####" in text
    assert text.endswith('result    "done"\n')
