"""The staff's pages of submissions."""

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from kombu.exceptions import OperationalError

from biosample.admin import SubmissionAdmin
from biosample.models import Record, Submission
from biosample.states import State

pytestmark = pytest.mark.django_db
LIST = reverse("admin:biosample_submission_changelist")

RECORDS = reverse("admin:biosample_record_changelist")


def change_page(submission: Submission) -> str:
    return reverse("admin:biosample_submission_change", args=[submission.pk])


@pytest.fixture
def staff(client):
    user = get_user_model().objects.create_superuser("sara", "sara@example.org")
    client.force_login(user)
    return user


def act(client: Client, action: str, *submissions: Submission) -> Any:
    data = {"action": action, "_selected_action": [submission.pk for submission in submissions]}
    return client.post(LIST, data, follow=True)


def test_states_are_words_with_an_icon(client, staff, make_submission):
    make_submission(records=["animal_1", "animal_2"])
    page = client.get(LIST).content.decode()
    assert "↑ submitted" in page
    assert '<td class="field-record_count">2</td>' in page


def test_lists_are_filtered_and_searched(client, staff, make_submission):
    make_submission("sub-1", records=["animal_1", "animal_2"])
    make_submission("sub-2").fail("wrong")
    make_submission("sub-3", owner=staff)

    def titles(**query: Any) -> list[str]:
        return [row.title for row in client.get(LIST, query).context["cl"].result_list]

    assert titles(state__exact=State.ERROR) == ["Goats sub-2"]
    assert titles(q="animal_1") == ["Goats sub-1"]
    assert client.get(LIST, {"q": "animal_1"}).context["cl"].result_list[0].records_counted == 2
    assert titles(q="olga") == ["Goats sub-2", "Goats sub-1"]
    assert titles(owner__id__exact=staff.pk) == ["Goats sub-3"]


def test_the_number_of_queries_does_not_grow_with_the_rows(
    client, staff, make_submission, django_assert_max_num_queries
):
    def grow(first: int, last: int) -> None:
        for number in range(first, last):
            owner = get_user_model().objects.create_user(f"owner{number}")
            make_submission(f"sub-{number}", owner=owner, records=[f"animal_{n}" for n in range(3)])

    grow(0, 2)
    with django_assert_max_num_queries(50) as few:
        client.get(LIST)
    grow(2, 20)
    with django_assert_max_num_queries(len(few.captured_queries)):
        client.get(LIST)


def test_a_page_of_many_records_needs_few_queries(client, staff, make_submission, django_assert_max_num_queries):
    submission = make_submission(records=[f"animal_{number}" for number in range(60)])
    with django_assert_max_num_queries(12):
        assert "animal_59" in client.get(change_page(submission)).content.decode()


def test_what_the_machine_writes_cannot_be_typed(client, staff, make_submission):
    submission = make_submission(records=["animal_1"])
    record = submission.records.get()
    forged = {
        "title": "Sheep",
        "owner": submission.owner.pk,
        "usi_name": "other",
        "state": State.COMPLETED,
        "message": "forged",
        "records-TOTAL_FORMS": 1,
        "records-INITIAL_FORMS": 1,
        "records-0-id": record.pk,
        "records-0-submission": submission.pk,
        "records-0-alias": "forged",
        "records-0-accession": "forged",
    }
    assert client.post(change_page(submission), forged).status_code == 302
    submission.refresh_from_db()
    record.refresh_from_db()
    assert (submission.title, submission.usi_name, submission.state, submission.message) == (
        "Sheep",
        "sub-1",
        State.SUBMITTED,
        "",
    )
    assert (record.alias, record.accession) == ("animal_1", "")


def test_saving_a_title_keeps_what_the_machine_did_meanwhile(client, staff, make_submission, monkeypatch):
    submission = make_submission()
    save = SubmissionAdmin.save_model

    def meanwhile(self, request, obj, form, change):
        Submission.objects.get(pk=obj.pk).complete("done")
        save(self, request, obj, form, change)

    monkeypatch.setattr(SubmissionAdmin, "save_model", meanwhile)
    data = {"title": "Sheep", "owner": submission.owner.pk, "records-TOTAL_FORMS": 0, "records-INITIAL_FORMS": 0}
    assert client.post(change_page(submission), data).status_code == 302
    submission.refresh_from_db()
    assert (submission.title, submission.state, submission.message) == ("Sheep", State.COMPLETED, "done")


def test_many_records_have_a_page_of_their_own(client, staff, make_submission, django_assert_max_num_queries):
    submission = make_submission()
    make_submission("other", records=["elsewhere"])
    Record.objects.bulk_create(Record(submission=submission, alias=f"animal_{n:03}") for n in range(201))
    page = client.get(change_page(submission)).content.decode()
    assert "animal_000" not in page
    assert "201 records" in page
    address = f"{RECORDS}?submission__id__exact={submission.pk}"
    assert address in page
    with django_assert_max_num_queries(8):
        response = client.get(address)
    assert response.context["cl"].result_count == 201
    assert "animal_099" in response.content.decode()
    assert "elsewhere" not in response.content.decode()


def test_a_submission_is_made_and_marked_as_submitted(client, staff, owner):
    data = {
        "title": "Goats",
        "owner": owner.pk,
        "usi_name": "sub-1",
        "records-TOTAL_FORMS": 1,
        "records-INITIAL_FORMS": 0,
        "records-0-alias": "animal_1",
        "records-0-kind": "animal",
    }
    assert client.post(reverse("admin:biosample_submission_add"), data).status_code == 302
    submission = Submission.objects.get()
    assert submission.records.get().alias == "animal_1"
    assert "1 marked as submitted." in act(client, "mark_as_submitted", submission).content.decode()
    submission.refresh_from_db()
    assert submission.state == State.SUBMITTED


def test_records_are_deleted_with_their_submission_alone(client, staff, make_submission):
    submission = make_submission(records=["animal_1"])
    record = submission.records.get()
    own_page = reverse("admin:biosample_record_delete", args=[record.pk])
    assert client.post(own_page, {"post": "yes"}).status_code == 403
    address = reverse("admin:biosample_submission_delete", args=[submission.pk])
    assert client.post(address, {"post": "yes"}).status_code == 302
    assert not Record.objects.exists()


def test_what_cannot_be_submitted_says_why(client, staff, owner, make_submission):
    nameless = Submission.objects.create(owner=owner, title="Sheep")
    page = act(client, "mark_as_submitted", nameless, make_submission()).content.decode()
    assert "has no name in USI" in page
    assert "cannot become submitted" in page
    assert "marked as submitted." not in page


def test_fetch_now_sends_one_job_and_names_it(
    client, staff, make_submission, monkeypatch, django_capture_on_commit_callbacks
):
    sent = []
    task = "biosample.tasks.FetchStatusTask.apply_async"
    monkeypatch.setattr(task, lambda self, *args, **options: sent.append(options["task_id"]))
    submission = make_submission()
    with django_capture_on_commit_callbacks(execute=True):
        page = act(client, "fetch_status_now", submission).content.decode()
    assert len(sent) == 1
    assert f"Job {sent[0]} asks USI" in page


@pytest.mark.django_db(transaction=True)
def test_fetch_now_says_when_the_job_could_not_be_sent(client, staff, make_submission, monkeypatch):
    def refuse(self, *args, **options):
        raise OperationalError("no broker")

    monkeypatch.setattr("biosample.tasks.FetchStatusTask.apply_async", refuse)
    assert "Redis does not answer" in act(client, "fetch_status_now", make_submission()).content.decode()


def test_actions_need_the_permission_to_change(client, make_submission):
    reader = get_user_model().objects.create_user("rita", is_staff=True)
    reader.user_permissions.add(Permission.objects.get(codename="view_submission"))
    client.force_login(reader)
    submission = make_submission(name="sub-1")
    submission.fail("wrong")
    page = client.get(LIST).content.decode()
    assert "Goats sub-1" in page
    assert "fetch_status_now" not in page
    act(client, "mark_as_submitted", submission)
    submission.refresh_from_db()
    assert submission.state == State.ERROR


def test_no_one_else_gets_in(client, make_submission):
    client.force_login(make_submission().owner)
    assert client.get(LIST).status_code == 403
