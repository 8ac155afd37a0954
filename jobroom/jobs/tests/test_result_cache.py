"""Launches of tasks that keep answers: what is in the database, who sees what, and what housekeeping repairs."""

import json

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from django.utils import timezone

from image.celery import app
from jobroom import events, redis
from jobroom.arguments import WrongArguments
from jobroom.cache import maintenance, question, single_flight
from jobroom.events import attachments
from jobroom.jobs import cache_settlement, current_state, files, launches, terminal
from jobroom.jobs.exceptions import NotAllowed
from jobroom.jobs.launches import launch
from jobroom.jobs.models import Caching, Job, Source, State, StoredFile, TaskRule
from jobroom.jobs.queue_position import waiting
from jobroom.jobs.recorder import Recorder
from jobroom.jobs.tests.events import event as made_event
from jobroom.jobs.tests.events import finished, queued, record, started
from jobroom.testing.tasks import made_task

pytestmark = pytest.mark.django_db
NAME = "test.keeps"


@pytest.fixture(autouse=True)
def task(empty_redis, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path

    def run(text: str, password: str = ""): ...

    with made_task(run, name=NAME, cache_for=600) as made:
        yield made


@pytest.fixture
def start(django_capture_on_commit_callbacks):
    """Launch and commit."""

    def launching_one(by=None, text="hello", **options):
        with django_capture_on_commit_callbacks(execute=True):
            return launch(
                task=NAME, arguments={"text": text, **options.pop("more", {})}, by=by, source=Source.API, **options
            )

    return launching_one


@pytest.fixture
def bob(db):
    return User.objects.create_user("bob", password="x")


@pytest.fixture
def opened(ada, bob):
    """Let ada and bob launch the task, and nothing more."""
    group = Group.objects.create(name="askers")
    for person in (ada, bob):
        person.groups.add(group)
    rule = TaskRule.objects.create(task=NAME)
    rule.launch.add(group)
    return group


def answer(job, result, task, kept_files=()):
    """Do what a worker does when the job has run."""
    asked = question(task, launches.arguments_of(job))
    end = {"state": "succeeded", "result": json.dumps(result), "answer_of": job.pk}
    from jobroom.cache import handoff

    handoff.give_all(asked.key, job.pk, end, single_flight.keep(asked, job.pk, end, list(kept_files)))
    events.emit("finished", job.pk, state="succeeded", execution="x", runtime=1.0, result=json.dumps(result))


def recorded():
    """Let the recorder write everything that was reported."""
    recorder = Recorder()
    while recorder.step():
        pass


def state_of(job):
    recorded()
    found = Job.objects.get(pk=job.pk)
    return found.state, found.result, found.answer_of


def messages():
    texts = redis.client().lrange("default", 0, -1)
    return [json.loads(text)["headers"]["id"] for text in reversed(texts)]


# Launches


def test_the_same_launch_has_its_answer_at_once_and_sends_nothing(start, task):
    first = start()
    answer(first, {"n": 1}, task)
    second = start()
    assert (second.state, second.result, second.answer_of) == (State.SUCCEEDED, {"n": 1}, first.pk)
    assert second.is_answered
    assert messages() == [first.pk]
    assert state_of(second) == (State.SUCCEEDED, {"n": 1}, first.pk)
    assert task.AsyncResult(second.pk).get() == {"n": 1}
    assert state_of(start(text="other"))[0] == State.QUEUED


def test_an_answer_outlives_celerys_own_result(start, task):
    first = start()
    answer(first, 5, task)
    task.AsyncResult(first.pk).forget()
    assert start().result == 5


def test_identical_launches_wait_for_the_first(start, task):
    first, second, third = start(), start(), start()
    assert messages() == [first.pk]
    assert state_of(second) == (State.QUEUED, None, first.pk)
    assert Job.objects.get(pk=second.pk).is_following
    assert waiting([Job.objects.get(pk=second.pk)]) == {}, "it has no place in the queue"
    answer(first, [1], task)
    for job in (second, third):
        assert state_of(job) == (State.SUCCEEDED, [1], first.pk)
        assert task.AsyncResult(job.pk).get() == [1]


def test_a_launch_for_later_is_looked_at_when_its_time_comes(start, task):
    answer(start(), 1, task)
    later = start(run_after=timezone.now() + timezone.timedelta(hours=3))
    assert (later.state, later.answer_of) == (State.SCHEDULED, "")


def test_force_no_cache_and_recalculate_are_sent(start, task):
    answer(start(), 1, task)
    for caching in ("force", "no_cache", "recalculate"):
        job = start(caching=caching)
        assert (job.state, job.answer_of, job.caching) == (State.QUEUED, "", caching)
        [text] = [t for t in redis.client().lrange("default", 0, -1) if job.pk in t]
        assert json.loads(text)["headers"]["caching"] == caching


def test_ways_to_deal_with_answers_that_are_not_kept_are_refused(start, staff):
    with pytest.raises(WrongArguments, match=r"force: demo\.echo keeps no answers"):
        launch(task="demo.echo", arguments={}, by=staff, source=Source.API, caching="force")
    with pytest.raises(WrongArguments, match="Give one of force, recalculate, no_cache"):
        start(caching="sometimes")


def test_without_redis_the_job_is_launched_all_the_same(start, task, monkeypatch):
    def away(*_, **__):
        raise redis.Error("away")

    monkeypatch.setattr(single_flight, "find", away)
    monkeypatch.setattr(single_flight, "claim", away)
    job = start()
    assert messages() == [job.pk]


# Who sees what


def test_who_may_launch_sees_the_answer_and_not_the_job_it_came_from(start, task, ada, bob, opened, client):
    first = start(ada)
    file_id = files.uuid.uuid4()
    kept = attachments.keep(file_id, [b"1,2"])
    StoredFile.objects.create(id=file_id, name="table.csv", job_id=first.pk, **kept)
    answer(first, "the answer", task, [{"id": str(file_id), "name": "table.csv"}])
    recorded()
    second = start(bob)
    client.force_login(bob)
    page = client.get(f"/jobs/{second.pk}/").content.decode()
    assert "the answer" in page
    assert "From cache" in page
    assert "another job" in page
    assert first.pk not in page
    assert first.pk[:8] not in page
    assert client.get(f"/jobs/{first.pk}/").status_code == 404
    found = client.get(f"/api/jobs/{second.pk}/").json()
    assert (found["from_cache"], found["answer_of"]) == (True, None)
    assert [row["name"] for row in found["content"]["files"]] == ["table.csv"]
    assert files.visible(file_id, bob).path.read_bytes() == b"1,2"
    assert not StoredFile.objects.visible_to(User.objects.create_user("mallory"))
    client.force_login(ada)
    assert client.get(f"/jobs/{second.pk}/").status_code == 404
    client.force_login(User.objects.create_superuser("grace"))
    assert f'href="/jobs/{first.pk}/"' in client.get(f"/jobs/{second.pk}/").content.decode()
    assert client.get(f"/api/jobs/{second.pk}/").json()["answer_of"] == first.pk


def test_who_waits_does_not_learn_for_whom(start, ada, bob, opened, client):
    first, second = start(ada), start(bob)
    recorded()
    client.force_login(bob)
    for address in (f"/jobs/{second.pk}/", "/jobs/"):
        page = client.get(address).content.decode()
        assert "which computes the same" in page
        assert first.pk[:8] not in page


def test_who_may_not_launch_gets_no_answer(start, task, ada):
    answer(start(), 1, task)
    with pytest.raises(NotAllowed):
        start(ada)


def test_files_of_an_answer_stay_as_long_as_a_job_has_it(start, task):
    first = start()
    file_id = files.uuid.uuid4()
    kept = attachments.keep(file_id, [b"x"])
    StoredFile.objects.create(id=file_id, name="x", job_id=first.pk, **kept)
    answer(first, 1, task, [{"id": str(file_id), "name": "x"}])
    second, third = start(), start()
    for going, there in ((first, True), (second, True), (third, False)):
        files.delete_those_of([going.pk])
        going.delete()
        assert StoredFile.objects.filter(pk=file_id).exists() == there
        assert attachments.location(file_id).exists() == there
    assert start().state == State.QUEUED, "an answer without its files is none"


def test_secrets_are_part_of_the_question_and_in_no_database(start, task):
    first = start(more={"password": "sesame"})
    asked = question(task, {"text": "hello", "password": "sesame"})
    end = {"state": "succeeded", "result": "1", "answer_of": first.pk}
    single_flight.keep(asked, first.pk, end, [])
    assert start(more={"password": "other"}).state == State.QUEUED
    assert start(more={"password": "sesame"}).state == State.SUCCEEDED
    kept = [redis.client().dump(key) or b"" for key in redis.client().scan_iter("image:answers:kept*")]
    assert not [value for value in kept if "sesame" in str(value)]


# Ends that no one handed on


def ended(job, state, **data):
    """Let the database learn of an end that the job's worker did not hand on."""
    events.emit("finished", job.pk, state=state, execution=None, **data)
    recorded()
    recorded()


@pytest.mark.parametrize("state", ["lost", "cancelled"])
def test_the_next_one_computes_when_the_leader_is_gone(start, state):
    first, second, third = start(), start(), start()
    recorded()
    ended(first, state, error="gone")
    assert messages() == [first.pk, second.pk]
    assert state_of(second) == (State.QUEUED, None, "")
    assert state_of(third) == (State.QUEUED, None, second.pk)


def test_a_failure_is_that_of_all_who_asked_the_same(start, task):
    first, second = start(), start()
    recorded()
    ended(first, "failed", error="no hello", error_type="ValueError", traceback="line 1")
    found = Job.objects.get(pk=second.pk)
    assert (found.state, found.error, found.error_type, found.traceback) == (
        "failed",
        "no hello",
        "ValueError",
        "line 1",
    )
    assert (found.answer_of, found.is_answered) == (first.pk, True)
    assert start().state == State.QUEUED, "failures are not kept"


def test_the_words_of_a_failure_are_not_shown_where_the_arguments_may_differ(start, django_capture_on_commit_callbacks):
    def run(text: str): ...

    with made_task(run, name="test.own", cache_for=60, fingerprint=lambda text: "all the same"):
        with django_capture_on_commit_callbacks(execute=True):
            first, second = (
                launch(task="test.own", arguments={"text": text}, by=None, source=Source.API)
                for text in ("my secret", "x")
            )
        recorded()
        ended(first, "failed", error="my secret is bad", error_type="ValueError", traceback="my secret")
    found = Job.objects.get(pk=second.pk)
    assert (found.state, found.error_type, found.traceback) == ("failed", "ValueError", "")
    assert found.error == "The job that computed the same failed."


def test_an_answer_that_was_kept_nowhere_comes_from_celerys_result(start, task):
    first, second = start(), start()
    task.backend.store_result(first.pk, {"n": 7}, "SUCCESS")
    recorded()
    ended(first, "succeeded", result='{"n": 7}')
    assert state_of(second) == (State.SUCCEEDED, {"n": 7}, first.pk)


def old(flight_of):
    key = single_flight.question_of(flight_of.pk)
    redis.client().hset(f"image:answers:flight:{key}", "since", "1")
    redis.client().zadd("image:answers:flights", {key: 1})
    return key


def test_a_chosen_leader_that_was_never_sent_is_sent_by_housekeeping(start):
    first, second, third = start(), start(), start()
    recorded()
    entry, others = single_flight.leave(single_flight.question_of(first.pk), first.pk)  # and anyone who did this died
    assert (entry["job"], others) == (second.pk, [third.pk])
    old(second)
    cache_settlement.sweep()
    cache_settlement.sweep()
    assert messages() == [first.pk, second.pk], "once: a flight that was looked after is young again"
    assert state_of(second) == (State.QUEUED, None, "")


def test_a_leader_of_whom_no_one_has_heard_is_passed_over(start):
    single_flight.claim(question(app.tasks[NAME], {"text": "hello"}), "ghost", {"job": "ghost"}, "")
    second = start()
    recorded()
    old(second)
    cache_settlement.sweep()
    assert messages() == [second.pk]


def test_jobs_that_redis_forgot_are_launched_again(start):
    _, second, third = start(), start(), start()
    recorded()
    for key in redis.client().scan_iter("image:answers:*"):
        redis.client().delete(key)
    redis.client().delete("default")
    cache_settlement.sweep()
    recorded()
    assert messages() == [second.pk]
    assert state_of(third) == (State.QUEUED, None, second.pk)


def test_a_job_with_secrets_that_redis_forgot_is_lost(start):
    more = {"password": "sesame"}
    start(more=more)
    second = start(more=more)
    recorded()
    for key in redis.client().scan_iter("image:answers:*"):
        redis.client().delete(key)
    cache_settlement.sweep()
    assert state_of(second)[0] == State.LOST
    assert "its secrets are kept nowhere" in Job.objects.get(pk=second.pk).error


def test_unsent_jobs_that_wait_are_not_sent_by_the_clock(start):
    first, second = start(), start()
    recorded()
    Job.objects.filter(pk=second.pk).update(queued_at=timezone.now() - timezone.timedelta(hours=1))
    launches.send_due()
    assert messages() == [first.pk]


# The database


def test_events_of_an_answer_in_any_order_and_twice_give_the_same_row():
    events_of_job = [
        queued(1),
        started(2, "a"),
        made_event(3, "waiting", execution="a", answer_of="leader"),
        finished(4, None, answer_of="leader", likeness=0.97, result='{"n": 1}'),
    ]
    for order in (
        events_of_job,
        events_of_job[::-1],
        [*events_of_job, *events_of_job[:2]],
        [events_of_job[3], *events_of_job],
    ):
        Job.objects.all().delete()
        for one in order:
            job = record(one)
        found = (job.state, job.answer_of, job.likeness, job.result, job.attempts)
        assert found == (State.SUCCEEDED, "leader", 0.97, {"n": 1}, 0)


def test_a_job_that_is_reported_to_wait_after_its_end_has_its_answer_all_the_same():
    """Its launch joins, the one that computes gives it its end, and only then the launch reports that it waits."""
    events_of_job = [
        finished(2, None, answer_of="leader", result='"known"'),
        made_event(3, "waiting", answer_of="leader"),
    ]
    for order in (events_of_job, events_of_job[::-1]):
        Job.objects.all().delete()
        for one in order:
            job = record(one)
        assert (job.state, job.answer_of, job.result) == (State.SUCCEEDED, "leader", "known")


def test_a_job_that_is_sent_after_all_waits_for_no_one():
    record(queued(1), started(2, "a"))
    job = record(made_event(3, "waiting", execution="a", answer_of="leader"))
    assert (job.state, job.answer_of, job.attempts) == (State.QUEUED, "leader", 0)
    assert (record(queued(4)).answer_of, job.likeness) == ("", None)
    job = record(started(5, "b"), finished(6, "b", result="2"))
    assert (job.state, job.answer_of, job.result, job.attempts) == (State.SUCCEEDED, "", 2, 1)


def test_a_worker_that_finds_the_answer_reports_whose_it_is():
    job = record(queued(1), started(2, "a"), finished(3, "a", result="5", answer_of="leader", likeness=None))
    assert (job.state, job.result, job.answer_of, job.likeness, job.runtime) == (
        State.SUCCEEDED,
        5,
        "leader",
        None,
        None,
    )


# Faces


def test_the_api_launches_with_flags_and_says_from_cache(start, task, as_staff):
    def post(**more):
        body = json.dumps({"task": NAME, "arguments": {"text": "hello"}, **more})
        return as_staff.post("/api/jobs/?wait=5", body, content_type="application/json")

    answer(start(), "known", task)
    found = post()
    assert found.status_code == 200
    events_of_job = found.json()
    assert (events_of_job["state"], events_of_job["from_cache"], events_of_job["content"]["result"]) == (
        "succeeded",
        True,
        "known",
    )
    refused = post(force=True, no_cache=True)
    assert refused.status_code == 400
    assert refused.json()["errors"] == {"no_cache": ["Give this or force, not both."]}
    body = json.dumps({"task": "demo.echo", "force": True})
    refused = as_staff.post("/api/jobs/", body, content_type="application/json")
    assert "keeps no answers" in refused.json()["errors"]["force"][0]
    forced = as_staff.post(
        "/api/jobs/",
        json.dumps({"task": NAME, "arguments": {"text": "hello"}, "force": True}),
        content_type="application/json",
    )
    assert (forced.status_code, forced.json()["state"]) == (201, "queued")


def test_the_launch_page_offers_the_choice_only_where_it_has_one(
    as_staff, start, task, django_capture_on_commit_callbacks
):
    assert "launch-caching" not in as_staff.get("/tasks/demo.echo/").content.decode()
    page = as_staff.get(f"/tasks/{NAME}/?with-caching=force").content.decode()
    assert '<option value="force" selected>' in page
    answer(start(), "known", task)
    form = {"text": "hello", "launch-queue": "default", "launch-when": "now", "launch-caching": ""}
    with django_capture_on_commit_callbacks(execute=True):
        sent = as_staff.post(f"/tasks/{NAME}/", form)
    assert sent.status_code == 303
    page = as_staff.get(sent["Location"]).content.decode()
    assert "From cache" in page
    assert "known" in page
    assert "From cache" in as_staff.get("/jobs/").content.decode()
    forced = as_staff.post(f"/tasks/{NAME}/", {**form, "launch-caching": "force"})
    assert Job.objects.get(pk=forced["Location"].split("/")[-2]).caching == Caching.FORCE


def test_a_near_duplicate_says_how_near_it_is(as_staff):
    Job.objects.create(id="n", task=NAME, state="succeeded", answer_of="gone", likeness=0.97, result=1)
    page = as_staff.get("/jobs/n/").content.decode()
    assert "near-duplicate (97%)" in page
    assert terminal.story(Job.objects.get(pk="n")) == "from cache: the answer of a near-duplicate (97%), job gone"


def test_the_command_launches_with_a_flag_and_shows_whose_answer_it_is(start, task, capsys):
    first = start()
    answer(first, "known", task)
    job = current_state.job(start().pk)
    assert f"  from cache: the answer of job {first.pk}" in terminal.lines_of(job)
    assert terminal.described(job)["answer_of"] == first.pk
    call_command("launch", NAME, "--arg", "text=hello", "--no-cache", "--json")
    assert Job.objects.get(pk=json.loads(capsys.readouterr().out)["id"]).caching == "no_cache"
    with pytest.raises(CommandError, match=r"force: demo\.echo keeps no answers"):
        call_command("launch", "demo.echo", "--force")


def test_the_page_of_kept_answers_counts_and_forgets(start, task, as_staff, ada):
    answer(start(), "known", task)
    start()
    page = as_staff.get("/answers/").content.decode()
    assert NAME in page
    assert "1 at once" in page
    assert as_staff.post("/answers/purge/", {"task": "demo.echo"}).status_code == 303
    assert maintenance.tally(NAME).kept == 1
    done = as_staff.post("/answers/purge/", {"task": NAME}, follow=True)
    assert f"Forgot 1 answer of {NAME}." in done.content.decode()
    assert start().state == State.QUEUED
    assert as_staff.get("/answers/purge/").status_code == 405
    as_staff.force_login(ada)
    assert as_staff.get("/answers/").status_code == 403
    assert as_staff.post("/answers/purge/").status_code == 403


def test_the_page_of_kept_answers_says_when_redis_is_away(as_staff, monkeypatch):
    def away(*_):
        raise redis.Error("away")

    monkeypatch.setattr(maintenance, "tallies", away)
    page = as_staff.get("/answers/")
    assert page.status_code == 503
    assert "Redis does not answer" in page.content.decode()


def test_the_command_purges_by_task_and_age(start, task, capsys):
    answer(start(), "known", task)
    call_command("purge_answers", older_than="1h")
    call_command("purge_answers", task=NAME)
    assert capsys.readouterr().out == "0 answers forgotten.\n1 answers forgotten.\n"
    with pytest.raises(CommandError, match=r"--older-than: 'soon' is no age"):
        call_command("purge_answers", older_than="soon")
    with pytest.raises(CommandError, match=r"--task: There is no task called “test\.kepps”"):
        call_command("purge_answers", task="test.kepps")
