"""Each number is computed once: list, page, API, socket, admin and terminal say the same of the same jobs."""

import random
import re
from datetime import timedelta
from html import unescape

import pytest
from django.utils import timezone

from jobroom.jobs import terminal, topics
from jobroom.jobs.filters import JobFilter
from jobroom.jobs.models import Job, State
from jobroom.jobs.number_formats import percent

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_redis")]

SEEDS = range(6)
WORDS = ("north", "south", "east")


def some_jobs(seed: int, count: int, owner) -> list[Job]:
    """Return jobs of all states, with and without progress, some of it of an earlier attempt."""
    chance = random.Random(seed)
    now = timezone.now()
    made = []
    for n in range(count):
        state = chance.choice(list(State))
        progress = {
            "fraction": chance.choice([None, 0, chance.random(), 0.995, 0.29, 1]),
            "execution": chance.choice(["now", "before"]),
            "message": "at work",
        }
        made.append(
            Job(
                pk=f"job-{seed}-{n}",
                task=chance.choice(["demo.echo", "demo.progress"]),
                label=chance.choice(WORDS),
                state=state,
                owner=chance.choice([owner, None]),
                execution="now",
                progress=chance.choice([{}, progress]),
                created_at=now - timedelta(seconds=n),
                started_at=now - timedelta(seconds=5),
                finished_at=None if state in ("queued", "running", "scheduled", "retrying") else now,
            )
        )
    return Job.objects.bulk_create(made)


def shares_on(page: str, job: Job) -> set[str]:
    """Return the shares that a page of HTML gives for a job in bars."""
    return set(re.findall(rf'data-progress-of="job:{job.pk}"[^>]*>([^<]*)</progress>', page))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_share_of_a_job_is_the_same_everywhere(seed, as_staff, staff):
    jobs = some_jobs(seed, 12, staff)
    listed = as_staff.get("/jobs/").content.decode()
    in_api = {row["id"]: row for row in as_staff.get("/api/jobs/").json()["results"]}
    in_admin = as_staff.get("/admin/jobroom_jobs/job/").content.decode()
    for job in jobs:
        expected = percent(job.fraction)
        live = topics.state_of(job)["progress"]
        assert (in_api[job.pk]["progress"] is None) == (live is None)
        if live is not None:
            assert percent(live["fraction"]) == percent(in_api[job.pk]["progress"]["fraction"]) == expected
        if job.state != State.RUNNING:
            continue
        page = as_staff.get(job.get_absolute_url()).content.decode()
        assert f"<strong data-progress-share>{expected}</strong>" in page
        assert shares_on(listed, job) == ({expected} if expected else set())
        if expected:
            assert f"<span data-progress-share>{expected}</span>" in in_admin
            assert expected in "\n".join(terminal.lines_of(job))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("who", ["staff", "ada"])
def test_counts_beside_tabs_are_those_of_what_is_asked_for(seed, who, client, staff, ada):
    person = {"staff": staff, "ada": ada}[who]
    some_jobs(seed, 70, ada)
    chance = random.Random(seed)
    query = {
        "q": chance.choice(["", *WORDS]),
        "task": chance.choice(["", "demo.echo"]),
        "owner": chance.choice(["", "ada"]),
        "state": chance.choice(["", *State.values]),
    }
    mine = [
        job
        for job in Job.objects.all()
        if (person.is_staff or job.owner_id == person.pk)
        and (not query["q"] or query["q"] in job.label)
        and query["task"] in ("", job.task)
        and (not query["owner"] or job.owner_id == ada.pk)
    ]
    shown = JobFilter(query, person)
    for state, number, link, _ in shown.tabs():
        if state is None:
            continue
        assert (number.number, number.more) == (sum(job.state == state for job in mine), False), (query, state)
        assert JobFilter({**query, "state": state.value}, person).total == number, link
    client.force_login(person)
    page = unescape(client.get("/jobs/", query).content.decode())
    tabs = re.findall(r'</svg>(\w+)</span> <span class="tab-number">([\d,]+)</span>', page)
    assert dict(tabs) == {state.label: str(number) for state, number in shown.numbers.items()}


def test_cards_of_the_overview_are_the_tabs_of_the_list(as_staff, staff):
    some_jobs(1, 40, staff)
    cards = re.findall(r'<span class="card-number">([\d,]+)</span>', as_staff.get("/").content.decode())
    assert cards == [str(number) for number in JobFilter({}, staff).numbers.values()]


@pytest.mark.parametrize(
    ("share", "text"), [(None, ""), (0, "0%"), (0.29, "29%"), (0.995, "99%"), (1, "100%"), (1.5, "100%"), (-1, "0%")]
)
def test_a_share_is_rounded_down(share, text):
    assert percent(share) == text


def test_each_row_says_which_time_it_shows(as_staff, staff):
    now = timezone.now()
    old = now - timedelta(days=9)
    made = {"task": "demo.echo", "created_at": old, "owner": staff}
    Job.objects.create(pk="a", state=State.FAILED, finished_at=now - timedelta(minutes=2), queued_at=old, **made)
    Job.objects.create(pk="b", state=State.RUNNING, started_at=now - timedelta(minutes=3), queued_at=old, **made)
    Job.objects.create(pk="c", state=State.QUEUED, queued_at=now - timedelta(minutes=4), **made)
    Job.objects.create(pk="d", state=State.SCHEDULED, run_after=now + timedelta(hours=5), **made)
    page = as_staff.get("/jobs/").content.decode()
    found = re.findall(r'<span class="when-word">(\w+)</span> <time[^>]*>([^<]+)<', page)
    assert [(word, text.split(" ")[:2]) for word, text in found] == [
        ("runs", ["in", "4"]),
        ("queued", ["4", "min"]),
        ("started", ["3", "min"]),
        ("ended", ["2", "min"]),
    ]
    assert page.count("data-since=") == 1
