"""The page and the API of waits and durations: one computation, of what the person may see."""

import json
import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.utils import timezone

from jobroom.jobs import duration_buckets, durations, percentiles, spread_chart
from jobroom.jobs.models import TaskRule
from jobroom.jobs.tests.test_durations import add

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("one_moment", "empty_redis")]


def ran(seconds, ago=timedelta(0), **fields):
    add(timezone.now() - ago, bucket=duration_buckets.bucket_of(seconds), **fields)


@pytest.mark.parametrize("span", percentiles.SPANS.values(), ids=percentiles.SPANS)
def test_a_span_has_its_steps_and_all_that_is_in_them(span, staff):
    now = timezone.now()
    for place in range(span.number):
        add(now - place * span.step, bucket=place, minutes=durations.FINE)
    add(now - span.length - span.step)  # before it
    while durations.roll_up(now):
        pass
    found = percentiles.numbers(staff, span, now=now)
    assert [step.took.number for step in found.steps] == [1] * span.number
    assert found.whole.took.number == span.number
    assert found.steps[-1].begin <= now < found.steps[-1].end
    assert [row.name for row in found.tasks] == ["t"]
    assert [row.name for row in found.queues] == ["q"]


def test_slow_ones_are_seen_in_the_higher_percentile_alone(staff):
    for _ in range(9):
        ran(1)
    ran(100)
    whole = percentiles.numbers(staff, percentiles.SPANS["1h"]).whole.took
    assert whole.number == 10
    assert whole.p50 == pytest.approx(1, rel=0.1)
    assert whole.p95 == pytest.approx(100, rel=0.1)


def test_each_person_sees_the_times_of_what_they_may_see(client, staff, ada):
    ran(1, task="of.ada", owner=ada.pk)
    ran(2, task="secret")
    ran(3, task="open")
    group = Group.objects.create(name="readers")
    ada.groups.add(group)
    TaskRule.objects.create(task="open").see.add(group)
    client.force_login(ada)
    page = client.get("/times/").content.decode()
    assert "of.ada" in page
    assert "open" in page
    assert "secret" not in page
    found = client.get("/api/times/", {"span": "1h"}).json()
    assert {row["name"] for row in found["tasks"]} == {"of.ada", "open"}
    assert found["whole"]["duration"]["number"] == 2
    # A task that one may not see looks like one that there is not.
    hidden, unknown = (client.get("/api/times/", {"task": name}).json() for name in ("secret", "never"))
    assert hidden["whole"] == unknown["whole"]
    client.force_login(staff)
    assert client.get("/api/times/").json()["whole"]["duration"]["number"] == 3
    empty = client.get("/api/times/", {"task": "", "queue": ""})
    assert empty.json()["whole"]["duration"]["number"] == 3, "as on the page"


def test_the_page_says_in_words_and_tables_what_the_charts_show(as_staff):
    ran(1, what="wait")
    ran(50, task="slow.one", queue="heavy")
    page = as_staff.get("/times/", {"span": "1h"}).content.decode()
    assert page.count('<svg class="chart spread"') == 2
    assert re.search(r'aria-label="Durations in the last hour: 1 job, half ran at most \d\d\.\d s', page)
    assert 'class="spread-half"' in page
    link = re.search(r'<a href="(\?span=1h&amp;task=slow\.one)">slow\.one</a>', page)[1].replace("&amp;", "&")
    one = as_staff.get(f"/times/{link}").content.decode()
    assert "of <strong>slow.one</strong>" in one
    assert "Waits in the last hour: none" in one
    assert "heavy" in one


def test_where_nothing_is_counted_the_page_says_so(as_staff):
    page = as_staff.get("/times/", {"span": "7d", "task": "x\x00y"}).content.decode()
    assert "No job started or ended in the last 7 days" in page


def test_a_span_that_there_is_not_is_named_with_those_that_there_are(as_staff):
    answer = as_staff.get("/api/times/", {"span": "2h"})
    assert answer.status_code == 400
    assert "span" in answer.json()["errors"]
    assert as_staff.get("/times/", {"span": "2h"}).status_code == 200


def test_the_command_says_what_the_api_says(as_staff, ada, capsys):
    ran(1, what="wait")
    ran(50, task="slow.one", queue="heavy", owner=ada.pk)
    call_command("times", "--span=1h", "--json")
    assert json.loads(capsys.readouterr().out) == as_staff.get("/api/times/", {"span": "1h"}).json()
    call_command("times", "--as=ada")
    said = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert said[0] == "The last 24 hours: 0 started, 1 ended."
    assert any(re.fullmatch(r"slow\.one 0 — — 1 \d\d\.\d s \d\d\.\d s", line) for line in said)
    call_command("times", "--queue=idle")
    assert capsys.readouterr().out == "The last 24 hours: 0 started, 0 ended.\n"


def test_bars_stay_in_the_picture(staff):
    ran(0)
    ran(5000, timedelta(hours=2), what="wait")
    for chart in spread_chart.charts(percentiles.numbers(staff, percentiles.SPANS["6h"])).values():
        for y, height in re.findall(
            r'class="spread-\w+" x="[\d.]+" y="([-\d.]+)" width="[\d.]+" height="([\d.]+)"', chart.picture
        ):
            assert float(y) >= 0
            assert float(y) + float(height) == pytest.approx(spread_chart.HIGH, abs=0.2)
