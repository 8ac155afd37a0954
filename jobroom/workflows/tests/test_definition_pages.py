"""The list of definitions and their launch pages."""

import pytest
from django.contrib.auth.models import Group, User

from jobroom.workflows.definitions import registry
from jobroom.workflows.models import Definition, StoredWorkflow

pytestmark = pytest.mark.django_db(transaction=True)

TEXT = """
name: sums
title: Sums
description: Adds **numbers**.
payload:
  required: [a]
  properties:
    a: {type: integer, title: First, minimum: 1}
    b: {type: number, default: 2}
    how: {enum: [fast, slow], default: fast}
    rows: {type: array, items: {type: integer}, default: [1, 2]}
    sure: {type: boolean, default: false}
nodes:
  add: {task: demo.add, args: ["${payload.a}", "${payload.b}"]}
"""


@pytest.fixture
def sums(db):
    return registry.keep(TEXT, origin="a test").definition


@pytest.fixture
def person(client):
    user = User.objects.create_user("ada", password="x")
    client.force_login(user)
    return user


@pytest.fixture
def staff(client):
    user = User.objects.create_user("root", password="x", is_staff=True)
    client.force_login(user)
    return user


def test_the_form_has_a_field_for_each_part_and_the_defaults(client, staff, sums):
    page = client.get(sums.get_absolute_url()).content.decode()
    assert 'name="a"' in page
    assert "<strong>numbers</strong>" in page
    assert 'value="2"' in page
    assert "[" in page.partition('name="rows"')[2][:400]


def test_the_address_fills_fields_in(client, staff, sums):
    assert 'value="41"' in client.get(f"{sums.get_absolute_url()}?a=41").content.decode()


def test_a_launch_keeps_payload_version_and_owner(client, staff, sums):
    answer = client.post(sums.get_absolute_url(), {"a": "3", "b": "", "how": "slow", "rows": "[5]", "note": "why"})
    stored = StoredWorkflow.objects.get()
    assert (answer.status_code, answer["Location"]) == (303, stored.get_absolute_url())
    assert stored.payload == {"a": 3, "b": 2, "how": "slow", "rows": [5], "sure": False}
    assert (stored.owner, stored.note, stored.source, stored.definition.number) == (staff, "why", "page", 1)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"a": ""}, "required"),
        ({"a": "0"}, "greater than or equal to 1"),
        ({"a": "1", "rows": "[1,"}, "This is not JSON"),
        ({"a": "1", "rows": '["x"]'}, "At 0: “x” is not a whole number."),
        ({"a": "1", "how": "never"}, "not one of the available choices"),
    ],
)
def test_nonsense_is_told_at_its_field_and_launches_nothing(client, staff, sums, given, words):
    answer = client.post(sums.get_absolute_url(), given)
    assert answer.status_code == 400
    assert words in answer.content.decode()
    assert not StoredWorkflow.objects.exists()


def test_it_is_closed_until_the_admin_opens_it_to_a_group(client, person, sums):
    address = sums.get_absolute_url()
    assert client.get(address).status_code == client.post(address, {"a": 1}).status_code == 404
    assert "No workflow is open to you" in client.get("/workflows/definitions/").content.decode()
    group = Group.objects.create(name="sums")
    person.groups.add(group)
    sums.launch.add(group)
    assert client.post(address, {"a": 1}).status_code == 303
    assert "Sums" in client.get("/workflows/definitions/").content.decode()
    Definition.objects.update(enabled=False)
    assert client.get(address).status_code == 404


def test_a_definition_that_cannot_be_read_any_more_says_why(client, staff, sums):
    sums.versions.update(source="name: sums\nnodes: 3\n")
    answer = client.get(sums.get_absolute_url())
    assert answer.status_code == 409
    assert "Line 2" in answer.content.decode()


def test_a_preview_draws_what_would_run_and_starts_nothing(client, staff, sums):
    answer = client.post(sums.get_absolute_url(), {"a": "3", "how": "slow", "preview": "1"})
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "A launch would start 1 node. Nothing has been started." in page
    assert '<svg class="graph"' in page
    assert "kind-task state-waiting" in page
    assert "?tab=nodes" not in page
    assert 'value="3"' in page, "what was given stays in the form"
    assert not StoredWorkflow.objects.exists()


def test_a_preview_tells_what_a_launch_would_refuse(client, staff, sums):
    answer = client.post(sums.get_absolute_url(), {"a": "0", "preview": "1"})
    assert answer.status_code == 400
    assert "greater than or equal to 1" in answer.content.decode()
    assert '<svg class="graph"' not in answer.content.decode()


def test_a_preview_is_for_those_who_may_launch(client, person, sums):
    assert client.post(sums.get_absolute_url(), {"a": "1", "preview": "1"}).status_code == 404


def test_the_preview_of_a_large_graph_is_bundled_and_names_all_nodes(client, staff):
    nodes = "\n".join(f"  n{number}: {{task: demo.add, args: [1, 2]}}" for number in range(1600))
    large = registry.keep(f"name: large\nnodes:\n{nodes}\n", origin="a test").definition
    page = client.post(large.get_absolute_url(), {"preview": "1"}).content.decode()
    assert "A launch would start 1600 nodes." in page
    assert "too large to draw each node" in page
