"""One person cannot take the room from all others, guess passwords, or flood a mailbox; and reads what helps."""

from types import SimpleNamespace

import pytest
from django.contrib.auth.models import Group, User
from django.core import mail
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from jobroom import limits as counting
from jobroom import redis
from jobroom.jobs import files, limits
from jobroom.jobs.launches import launch
from jobroom.jobs.models import Allowance, Job, Source, State, StoredFile, TaskRule
from jobroom.limits import Rate, TooMany
from jobroom.testing import transactions

pytestmark = pytest.mark.usefixtures("empty_redis")


@pytest.mark.parametrize(
    ("text", "count", "seconds"),
    [("10/m", 10, 60), ("10/15m", 10, 900), ("3/h", 3, 3600), ("5/2s", 5, 2), ("1/d", 1, 86400)],
)
def test_rates_are_written_as_people_say_them(text, count, seconds):
    assert Rate.parse(text) == Rate(count, seconds)


@pytest.mark.parametrize("text", ["x", "10", "0/m", "-1/m", "10/y", "10/m/h"])
def test_what_is_no_rate_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="write 10/m"):
        Rate.parse(text)
    with pytest.raises(ValidationError, match="write 10/m"):
        Allowance(launches=text).full_clean(exclude=["user", "group"], validate_constraints=False)


def test_a_rate_gives_all_at_once_and_then_one_by_one():
    rate, name = Rate(3, 6000), counting.key("test", "x")
    assert [counting.take(name, rate) for _ in range(3)] == [0, 0, 0]
    assert 1900 < counting.take(name, rate) <= 2000
    assert 1900 < counting.look(name, rate) <= 2000
    assert counting.take(counting.key("test", "y"), rate) == 0
    assert 0 < redis.client().pttl(name) <= 6_000_000
    counting.forget(name)
    assert counting.take(name, rate) == 0


def test_a_clock_that_is_set_back_shuts_no_one_out_for_longer():
    rate, name = Rate(3, 6000), counting.key("test", "x")
    assert [counting.take(name, rate) for _ in range(4)][:3] == [0, 0, 0]
    redis.client().set(name, float(redis.client().get(name)) + 86_400)  # it was a day later when they were taken
    assert 1900 < counting.take(name, rate) <= 2000


def test_without_redis_nothing_is_limited(monkeypatch):
    def away(*_):
        raise redis.Error("away")

    monkeypatch.setattr(counting, "redis", SimpleNamespace(**{**vars(redis), "script": away}))
    assert counting.take("x", Rate(1, 60)) == 0


# Log-ins --------------------------------------------------------------------------------------------------------------


def log_in(password="wrong", name="ada", address="10.0.0.1", client=None):
    return (client or Client(REMOTE_ADDR=address)).post("/login/", {"username": name, "password": password})


def test_after_ten_wrong_passwords_the_page_says_when_to_try_again(ada):
    assert [log_in().status_code for _ in range(10)] == [200] * 10
    refused = log_in()
    assert refused.status_code == 429
    assert 0 < int(refused["Retry-After"]) <= 90
    assert b"too many failed log-ins. Try again in" in refused.content
    assert log_in("lovelace").status_code == 429  # also with the right one, or it could be guessed on


def test_others_behind_the_same_proxy_are_not_locked_out(ada, staff):
    for _ in range(11):
        log_in()
    assert log_in("hopper", "grace").status_code == 302
    assert log_in("lovelace", address="10.0.0.2").status_code == 302


def test_many_addresses_do_not_help_to_guess_one_name(ada, settings):
    settings.JOBROOM = settings.JOBROOM | {"JOBS_LOGINS_OF_NAME": "5/h"}
    assert [log_in(address=f"10.0.1.{n}", name="Ada ").status_code for n in range(6)] == [200] * 5 + [429]


def test_many_names_do_not_help_to_guess_from_one_address(db, settings):
    settings.JOBROOM = settings.JOBROOM | {"JOBS_LOGINS_OF_ADDRESS": "5/h"}
    assert [log_in(name=f"n{n}", address="2001:db8:1:2::1").status_code for n in range(5)] == [200] * 5
    assert log_in(name="n6", address="2001:db8:1:2:3:4:5:6").status_code == 429
    assert log_in(name="n6", address="2001:db8:9:9::1").status_code == 200


def test_who_gets_in_begins_again(ada):
    for _ in range(9):
        log_in()
    assert log_in("lovelace").status_code == 302
    assert [log_in().status_code for _ in range(9)] == [200] * 9


@pytest.mark.parametrize("address", ["/api/token/", "/admin/login/"])
def test_every_door_for_passwords_counts(ada, address, client):
    data = {"username": "ada", "password": "wrong"}
    kind = {"content_type": "application/json"} if "api" in address else {}
    for _ in range(10):
        assert client.post(address, data, **kind).status_code != 429
    refused = client.post(address, data, **kind)
    assert refused.status_code == 429
    assert int(refused["Retry-After"]) > 0
    if "api" in address:
        assert refused["Content-Type"] == "application/problem+json"
        assert "too many failed log-ins" in refused.json()["detail"]


def test_a_look_at_the_limits_asks_the_database_nothing(ada, django_assert_num_queries, rf):
    from jobroom.jobs.login_limits import LoginLimit

    with django_assert_num_queries(0):
        LoginLimit().authenticate(rf.post("/login/"), username="ada", password="x")


# New passwords --------------------------------------------------------------------------------------------------------


def ask_reset(address="ada@example.org", come_from="10.0.0.1"):
    return Client(REMOTE_ADDR=come_from).post("/password-reset/", {"email": address})


def test_a_mailbox_gets_three_links_an_hour_and_no_one_learns_of_it(ada, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    User.objects.filter(pk=ada.pk).update(email="ada@example.org")
    answers = {(ask_reset(come_from=f"10.0.0.{n}").status_code) for n in range(8)}
    assert answers == {302}
    assert len(mail.outbox) == 3


def test_one_address_cannot_ask_for_many(db, settings):
    settings.JOBROOM = settings.JOBROOM | {"JOBS_RESETS_OF_ADDRESS": "4/h"}
    answers = [ask_reset(f"n{n}@example.org") for n in range(5)]
    assert [answer.status_code for answer in answers] == [302] * 4 + [429]
    assert int(answers[-1]["Retry-After"]) > 0


# Launches -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def group(ada):
    """Return a group of ada's that may launch `demo.echo`."""
    group = Group.objects.create(name="launchers")
    ada.groups.add(group)
    TaskRule.objects.create(task="demo.echo").launch.add(group)
    return group


def echo(by):
    return launch(task="demo.echo", arguments={"text": "x"}, by=by, source=Source.API)


def test_launches_of_a_person_are_limited_on_every_face(as_ada, ada, group, settings):
    settings.JOBROOM = settings.JOBROOM | {"JOBS_LAUNCHES": "2/h"}
    assert as_ada.post("/tasks/demo.echo/", {"text": "x", "launch-when": "now"}).status_code == 303
    api = {"task": "demo.echo", "arguments": {"text": "x"}}
    assert as_ada.post("/api/jobs/", api, content_type="application/json").status_code == 201
    problem = as_ada.post("/api/jobs/", api, content_type="application/json")
    page = as_ada.post("/tasks/demo.echo/", {"text": "kept text", "launch-when": "now"})
    assert (problem.status_code, page.status_code) == (429, 429)
    assert problem.json()["detail"].startswith("You have launched many jobs in a short time. Try again in 30 minutes")
    assert int(problem["Retry-After"]) == int(page["Retry-After"])
    assert b"kept text" in page.content
    assert b"You have launched many jobs" in page.content
    with pytest.raises(TooMany):
        echo(ada)
    assert Job.objects.count() == 2


def test_the_machine_and_other_people_are_not_counted(ada, staff, group, settings):
    settings.JOBROOM = settings.JOBROOM | {"JOBS_LAUNCHES": "1/h"}
    echo(ada)
    for _ in range(3):
        echo(None)
    echo(staff)


def test_one_task_has_a_limit_of_its_own(staff, settings):
    settings.JOBROOM = settings.JOBROOM | {"JOBS_TASK_LAUNCHES": "1/h"}
    echo(staff)
    with pytest.raises(TooMany, match=r"You have launched demo.echo often"):
        echo(staff)
    launch(task="demo.add", arguments={"x": 1, "y": 2}, by=staff, source=Source.API)


def test_so_many_jobs_of_a_person_may_wait(ada, group, settings, django_assert_max_num_queries):
    settings.JOBROOM = settings.JOBROOM | {"JOBS_WAITING_MOST": 3}
    for _ in range(3):
        echo(ada)
    with pytest.raises(TooMany, match="3 of your jobs wait; 3 are allowed"):
        echo(ada)
    Job.objects.update(state=State.SUCCEEDED)
    echo(ada)


def test_the_jobs_that_wait_are_not_counted_for_each_launch(staff, settings, django_assert_num_queries):
    limits._check_waiting(staff, 100)
    with django_assert_num_queries(0):
        for _ in range(99):
            limits._check_waiting(staff, 100)
    with django_assert_num_queries(1):
        limits._check_waiting(staff, 100)


# Files ----------------------------------------------------------------------------------------------------------------


def upload(client, size=10):
    return client.post("/api/files/", {"file": SimpleUploadedFile("x.txt", b"x" * size)})


def test_uploads_are_limited(as_ada, settings):
    settings.JOBROOM = settings.JOBROOM | {"JOBS_UPLOADS": "2/h"}
    assert [upload(as_ada).status_code for _ in range(3)] == [201, 201, 429]


def test_so_many_bytes_are_kept_of_a_person(as_ada, ada, settings):
    settings.JOBROOM = settings.JOBROOM | {"JOBS_STORED_MOST": 25}
    assert [upload(as_ada).status_code for _ in range(2)] == [201, 201]
    refused = upload(as_ada)
    assert refused.status_code == 429
    assert "Delete some" in refused.json()["detail"]
    assert StoredFile.objects.count() == 2
    assert files.store(SimpleUploadedFile("m", b"x" * 100), None).size == 100  # the machine's own


# Allowances -----------------------------------------------------------------------------------------------------------


def test_a_row_raises_the_limit_of_a_group_and_one_of_a_person_comes_before_it(ada, group, settings):
    settings.JOBROOM = settings.JOBROOM | {"JOBS_LAUNCHES": "1/h"}
    Allowance.objects.create(group=group, launches="3/h")
    for _ in range(3):
        echo(ada)
    with pytest.raises(TooMany):
        echo(ada)
    Allowance.objects.create(user=ada, launches="0")
    limits.forget_allowance(ada.pk)
    for _ in range(5):
        echo(ada)


def test_an_allowance_of_a_person_counts_at_once_and_redis_is_asked_after_the_commit(
    ada, group, admin_client, settings, monkeypatch, django_capture_on_commit_callbacks
):
    settings.JOBROOM = settings.JOBROOM | {"JOBS_LAUNCHES": "1/h"}
    echo(ada)
    forgotten = transactions.noted(monkeypatch, limits, "forget_allowance")
    with django_capture_on_commit_callbacks(execute=True):
        answer = admin_client.post("/admin/jobroom_jobs/allowance/add/", {"user": ada.pk, "launches": "0"})
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    assert forgotten == [False]
    echo(ada)


def test_of_several_groups_the_most_generous_counts(ada, group, settings):
    settings.JOBROOM = settings.JOBROOM | {"JOBS_WAITING_MOST": 1}
    other = Group.objects.create(name="more")
    ada.groups.add(other)
    Allowance.objects.create(group=group, waiting=2)
    Allowance.objects.create(group=other, waiting=0)
    for _ in range(4):
        echo(ada)


def test_staff_set_it_in_the_admin(as_staff, ada):
    kept = as_staff.post("/admin/jobroom_jobs/allowance/add/", {"user": ada.pk, "launches": "5/m"})
    assert kept.status_code == 302, kept.content
    wrong = as_staff.post("/admin/jobroom_jobs/allowance/add/", {"launches": "many"})
    assert b"write 10/m" in wrong.content
    both = as_staff.post("/admin/jobroom_jobs/allowance/add/", {"launches": "5/m"})
    assert b"Choose a person or a group" in both.content
    assert Allowance.objects.get().launches == "5/m"


@pytest.mark.parametrize("nonsense", ["../../etc/passwd", "[" * 3000, "00000000-0000-0000-0000-000000000000", "9" * 30])
@pytest.mark.parametrize("field", ["user", "group"])
def test_nonsense_in_the_admin_is_reported_in_the_form(as_staff, field, nonsense):
    answer = as_staff.post("/admin/jobroom_jobs/allowance/add/", {field: nonsense, "launches": "5/m"})
    assert answer.status_code == 200
    assert field in answer.context["adminform"].form.errors
    assert not Allowance.objects.exists()


def test_a_wrong_rate_in_the_settings_is_named_at_the_start(settings):
    from jobroom.jobs.checks import rates

    settings.JOBROOM = settings.JOBROOM | {"JOBS_LAUNCHES": "lots"}
    [error] = rates()
    assert error.id == "jobroom_jobs.E001"
    assert "JOBS_LAUNCHES" in error.msg
