"""Task rules on pages of our own: listed, made, changed and deleted by those who may, and never over others' changes unseen."""

import re
from html import unescape

import pytest
from django.contrib.auth.models import Group, Permission

from jobroom.audit.models import Act
from jobroom.jobs import catalogue, policies, task_rules
from jobroom.jobs.models import TaskRule
from jobroom.jobs.views import task_rules as pages
from jobroom.testing import transactions

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_redis")]
LIST = "/task-rules/"
TASK = "demo.echo"


@pytest.fixture
def curators():
    return Group.objects.create(name="curators")


@pytest.fixture
def rule(curators):
    made = TaskRule.objects.create(task=TASK, queues=["heavy"])
    made.see.add(curators)
    return made


def version(page):
    return re.search(r'name="version" value="([^"]*)"', page)[1]


def test_a_rule_is_made_and_opens_its_task(as_staff, ada, curators):
    assert "No rule yet" in as_staff.get(LIST).content.decode()
    assert f'value="{TASK}" selected' in as_staff.get(f"{LIST}new/?task={TASK}").content.decode()
    ada.groups.add(curators)
    answer = as_staff.post(f"{LIST}new/", {"task": TASK, "launch": [curators.pk], "queues": ["heavy"]})
    assert (answer.status_code, answer.headers["Location"]) == (303, LIST)
    assert policies.may_launch(policies.asked_afresh(ada), TASK)
    page = as_staff.get(LIST).content.decode()
    assert "curators" in page
    assert "staff only" in page
    act = Act.objects.get(kind="task rule")
    assert (act.who, act.action, act.target) == ("grace", "added", TASK)
    assert "launch: nothing → curators" in act.outcome
    assert "queues: nothing → heavy" in act.outcome


def test_what_is_wrong_is_said_at_its_field_and_nothing_is_lost(as_staff, rule, curators):
    for data, reason in (
        ({"task": TASK}, "This task has a rule already: change that one."),
        ({"task": "demo.ecco"}, "“demo.ecco” is none of the choices"),
        ({"task": "demo.add", "queues": ["heaps"]}, "“heaps” is none of the choices"),
        ({"task": ""}, "Choose the task that the rule is for."),
    ):
        answer = as_staff.post(f"{LIST}new/", {**data, "launch": [curators.pk]})
        assert answer.status_code == 422, data
        page = unescape(answer.content.decode())
        assert reason in page
        assert re.search(rf'name="launch" value="{curators.pk}"[^>]* checked', page)
    assert TaskRule.objects.count() == 1


@pytest.mark.parametrize(
    ("number", "why"),
    [
        *((number, "is not one of the available choices") for number in (2**63, -(2**63) - 1, "9" * 30)),
        *((text, "is not a valid value") for text in ("9" * 5000, "x")),
    ],
)
@pytest.mark.parametrize("address", ["/task-rules/{}/", "/admin/jobroom_jobs/taskrule/{}/change/"])
def test_a_group_that_no_database_could_hold_is_no_choice(as_staff, rule, address, number, why):
    answer = as_staff.post(address.format(rule.pk), {"task": rule.task, "launch": [number], "version": "x"})
    assert answer.status_code in {200, 422}
    assert why in answer.content.decode()
    assert list(rule.launch.all()) == []


def test_of_two_who_change_a_rule_the_second_sees_both(as_staff, rule, curators):
    others, address = Group.objects.create(name="others"), f"{LIST}{rule.pk}/"
    opened = {"task": TASK, "version": version(as_staff.get(address).content.decode()), "queues": ["heavy"]}
    assert as_staff.post(address, {**opened, "see": [curators.pk, others.pk]}).status_code == 303
    answer = as_staff.post(address, {**opened, "see": []})
    page = unescape(answer.content.decode())
    assert answer.status_code == 422
    assert "Others saved this after you opened it" in page
    assert "Stored now: curators, others" in page
    assert rule.see.count() == 2
    assert as_staff.post(address, {**opened, "version": version(page), "see": []}).status_code == 303
    assert not rule.see.exists()
    outcomes = list(Act.objects.order_by("pk").values_list("outcome", flat=True))
    assert outcomes == ["see: curators → curators, others", "see: curators, others → nothing"]
    assert (
        "Nothing was changed"
        in as_staff.post(address, {"task": TASK, "queues": ["heavy"]}, follow=True).content.decode()
    )
    assert Act.objects.count() == 2


def test_the_page_is_made_outside_the_transaction(as_staff, rule, curators, monkeypatch):
    read = transactions.noted(monkeypatch, catalogue, "entries")
    made = transactions.noted(monkeypatch, pages, "render")
    kept = transactions.noted(monkeypatch, task_rules, "record")
    address = f"{LIST}{rule.pk}/"
    seen = version(as_staff.get(address).content.decode())
    assert as_staff.post(address, {"task": "", "version": seen}).status_code == 422
    assert (made, kept) == ([False, False], [])
    data = {"task": TASK, "see": [], "queues": ["heavy"], "version": seen}
    assert as_staff.post(address, data).status_code == 303
    assert (made, kept) == ([False, False], [True])
    assert read
    assert not any(read)
    assert Act.objects.get().outcome == "see: curators → nothing"


def test_a_rule_that_others_have_changed_is_not_deleted_unseen(as_staff, rule):
    address = f"{LIST}{rule.pk}/"
    opened = version(as_staff.get(address).content.decode())
    rule.see.clear()
    assert "it was not deleted" in as_staff.post(f"{address}delete/", {"version": opened}, follow=True).content.decode()
    again = version(as_staff.get(address).content.decode())
    answer = as_staff.post(f"{address}delete/", {"version": again}, follow=True)
    assert f"The rule of {TASK} is gone" in unescape(answer.content.decode())
    assert not TaskRule.objects.exists()
    assert Act.objects.get().action == "deleted"
    assert as_staff.get(address).status_code == 404


def test_a_rule_of_a_task_that_no_worker_knows_is_marked_and_kept(as_staff):
    old = TaskRule.objects.create(task="gone.task", queues=["closed"])
    assert "no worker knows this task" in as_staff.get(LIST).content.decode()
    page = as_staff.get(f"{LIST}{old.pk}/").content.decode()
    assert "gone.task (no worker knows it)" in page
    assert "closed (no worker of ours serves it)" in page


def test_staff_without_the_permission_look_and_others_are_refused(client, django_user_model, rule):
    clerk = django_user_model.objects.create_user("clerk", is_staff=True)
    client.force_login(clerk)
    address = f"{LIST}{rule.pk}/"
    assert "New rule" not in client.get(LIST).content.decode()
    page = client.get(address).content.decode()
    assert "Keep the rule" not in page
    assert "Ask for access" in page
    for refused in (f"{LIST}new/", address, f"{address}delete/"):
        answer = client.post(refused, {"task": TASK})
        assert answer.status_code == 403
        assert "needs the permission" in answer.content.decode()
    clerk.user_permissions.add(Permission.objects.get(codename="change_taskrule"))
    assert client.post(address, {"task": TASK}).status_code == 303
    assert client.post(f"{address}delete/").status_code == 403
    client.force_login(django_user_model.objects.create_user("visitor"))
    for hidden in (LIST, address, f"{LIST}987654/"):
        assert client.get(hidden).status_code == 403
