"""The pages of the assets, and who may see what on them."""

import pytest
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from assets import services, views
from assets.models import Asset, Kind
from jobroom.jobs import catalogue
from jobroom.jobs.models import Job, State, TaskRule

FACTS = {
    "faces": 69451, "vertices": 35947, "corners_welded": 34834, "pieces": 1, "watertight": False, "size": [1, 2, 3.5],
    "units": {"guess": "metres", "because": "the longest side is below 10"}, "area": 2.5, "volume": None, "genus": None,
    "duplicate_faces": 3, "flat_faces": 0, "winding_consistent": True,
}  # fmt: skip


@pytest.fixture
def as_ada(client, ada):
    client.force_login(ada)
    return client


@pytest.fixture
def processed(cube, tmp_path, png):
    """Return Ada's asset with facts and a picture."""
    path = tmp_path / "corner.png"
    path.write_bytes(png)
    services.remember_facts(asset=cube, facts=FACTS, job_id="j1")
    made = [services.Made(path, "cube-corner.png", view="corner")]
    services.replace_results(asset=cube, kind=Kind.PICTURE, made=made, job_id="j1")
    cube.refresh_from_db()
    return cube


def job_of(asset, owner, **fields):
    return Job.objects.create(
        **{"id": f"job-{Job.objects.count()}", "task": "Process asset", "kwargs": {"asset": asset.pk}, "owner": owner}
        | fields
    )


def test_the_empty_page_teaches(as_ada, ada):
    page = as_ada.get("/assets/").content.decode()
    assert "No asset yet" in page
    assert "Process asset" not in page  # there is no such task for her
    group = Group.objects.create(name="artists")
    ada.groups.add(group)
    TaskRule.objects.create(task="Process asset").launch.add(group)
    page = as_ada.get("/assets/").content.decode()
    assert "Process asset" in page
    assert "curl" in page


def test_an_upload_leads_to_the_page_of_the_asset(as_ada, upload):
    answer = as_ada.post("/assets/", {"file": upload(), "name": "My cube"})
    asset = Asset.objects.get()
    assert (answer.status_code, answer["Location"]) == (303, f"/assets/{asset.pk}/")
    page = as_ada.get(answer["Location"]).content.decode()
    assert "My cube" in page
    assert "It is not measured yet" in page
    assert "assets.inspect" not in page, "the name of a task that she may not know of"
    assert "assets.pictures" not in page


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({}, "Choose a file."),
        ({"file": SimpleUploadedFile("a.ply", b"")}, "The file is empty. Export it again."),
        ({"file": SimpleUploadedFile("a.ply", b"<html>")}, "its content is none of"),
    ],
)
def test_a_refused_upload_says_why_beside_the_field(as_ada, data, says):
    answer = as_ada.post("/assets/", data)
    assert answer.status_code == 422
    assert "<strong>Mesh:</strong>" in answer.content.decode()
    assert says in answer.content.decode()
    assert not Asset.objects.exists()


def test_the_list_shows_pictures_and_pages(as_ada, ada, processed, monkeypatch):
    monkeypatch.setattr(views, "PAGE", 2)
    for number in range(2):
        Asset.objects.create(owner=ada, name=f"more {number}", file=processed.file, format="ply", size=1)
    first = as_ada.get("/assets/").content.decode()
    assert "more 1" in first
    assert processed.get_absolute_url() not in first
    (link,) = [part.split('"')[0] for part in first.split('href="')[1:] if part.startswith("?before=")]
    older = as_ada.get(f"/assets/{link}").content.decode()
    assert processed.results.get().file.get_absolute_url() in older
    assert "69,451 triangles" in older
    assert as_ada.get("/assets/?before=9999999999999999999999").status_code == 400
    assert "No older asset" in as_ada.get("/assets/?before=1").content.decode()


def test_the_page_shows_facts_pictures_and_jobs(as_ada, ada, processed):
    job_of(processed, ada, state=State.RUNNING)
    job_of(processed, ada, args=[processed.pk], kwargs={}, task="assets.inspect", state=State.FAILED, error="It broke")
    job_of(Asset(pk=processed.pk + 1), ada, error="another")
    page = as_ada.get(processed.get_absolute_url()).content.decode()
    assert "69,451" in page
    assert "probably metres" in page
    assert 'alt="cube from corner"' in page
    assert "It broke" in page
    assert "another" not in page
    assert 'data-refresh="2"' in page


def test_buttons_lead_to_the_launch_form_of_what_one_may(as_ada, ada, processed, client, grace):
    group = Group.objects.create(name="artists")
    ada.groups.add(group)
    TaskRule.objects.create(task="Process asset").launch.add(group)
    page = as_ada.get(processed.get_absolute_url()).content.decode()
    address = reverse("jobroom:jobs:launch", args=["Process asset"])
    assert f'href="{address}?asset={processed.pk}"' in page
    assert "assets.inspect" not in page  # what no rule opens does not exist
    assert "No rule opens" not in page
    TaskRule.objects.create(task="assets.inspect").see.add(group)
    page = as_ada.get(processed.get_absolute_url()).content.decode()
    assert "No rule opens this task to you" in page
    assert "/tasks/assets.inspect/" not in page
    client.force_login(grace)
    page = client.get(processed.get_absolute_url()).content.decode()
    assert f"/tasks/assets.inspect/?asset={processed.pk}" in page
    assert "No rule opens" not in page


def test_a_second_person_sees_nothing(client, bob, processed):
    client.force_login(bob)
    picture = processed.results.get().file
    assert "cube" not in client.get("/assets/").content.decode()
    assert client.get(processed.get_absolute_url()).status_code == 404
    assert client.post(f"{processed.get_absolute_url()}delete/").status_code == 404
    assert client.get(picture.get_absolute_url()).status_code == 404
    assert client.get(processed.file.get_absolute_url()).status_code == 404
    assert Asset.objects.exists()


def test_strangers_are_asked_to_log_in(client, processed):
    for address in ("/assets/", processed.get_absolute_url()):
        assert client.get(address)["Location"].startswith("/login/")


def test_the_owner_gets_files_even_of_a_job_of_the_staff(as_ada, processed, png):
    answer = as_ada.get(processed.results.get().file.get_absolute_url())
    assert b"".join(answer.streaming_content) == png
    answer.close()
    assert answer["Content-Type"] == "image/png"


def test_while_a_job_works_on_it_the_page_says_so_and_asks_for_no_other(as_ada, ada, cube):
    Job.objects.create(pk="now", task="Process asset", owner=ada, kwargs={"asset": cube.pk}, state=State.RUNNING)
    assert "A job works on it: what it makes appears here." in as_ada.get(f"/assets/{cube.pk}/").content.decode()


def test_the_script_of_the_page_gets_the_address_or_what_is_wrong(as_ada, upload):
    script = {"headers": {"accept": "application/json"}}
    kept = as_ada.post("/assets/", {"file": upload()}, **script)
    assert (kept.status_code, kept.json()) == (201, {"to": f"/assets/{Asset.objects.get().pk}/"})
    refused = as_ada.post("/assets/", {"file": upload(b"", "empty.ply")}, **script)
    assert refused.status_code == 422
    assert refused.json() == {"errors": ["Mesh: The file is empty. Export it again."]}
    assert as_ada.post("/assets/", {}, **script).json() == {"errors": ["Mesh: Choose a file."]}


def test_hostile_names_are_shown_as_text(as_ada, ada, upload):
    asset = services.add(upload=upload(), name='<script>alert("x")</script>', owner=ada)
    for address in ("/assets/", asset.get_absolute_url()):
        page = as_ada.get(address).content.decode()
        assert "&lt;script&gt;" in page
        assert "<script>alert" not in page


def test_deleting_asks_by_post_and_says_so(as_ada, processed):
    address = f"{processed.get_absolute_url()}delete/"
    assert as_ada.get(address).status_code == 405
    answer = as_ada.post(address, follow=True)
    assert "cube is deleted." in answer.content.decode()
    assert not Asset.objects.exists()


def test_the_admin_shows_assets_and_deletes_their_files(client, grace, processed, django_capture_on_commit_callbacks):
    client.force_login(grace)
    path = processed.file.path
    assert "cube" in client.get("/admin/assets/asset/?q=ada").content.decode()
    assert client.get(f"/admin/assets/asset/{processed.pk}/change/").status_code == 200
    assert client.get("/admin/assets/asset/add/").status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [processed.pk], "post": "yes"}
    with django_capture_on_commit_callbacks(execute=True):
        client.post("/admin/assets/asset/", chosen)
    assert not Asset.objects.exists()
    assert not path.exists()


def test_a_new_owner_gets_the_files_too(client, grace, bob, processed):
    client.force_login(grace)
    client.post(f"/admin/assets/asset/{processed.pk}/change/", {
        "owner": bob.pk, "name": "Bob's", "results-TOTAL_FORMS": 0, "results-INITIAL_FORMS": 0,
    })  # fmt: skip
    processed.refresh_from_db()
    assert (processed.owner, processed.name) == (bob, "Bob's")
    assert {processed.file.owner, processed.results.get().file.owner} == {bob}


def test_the_catalogue_names_the_queue_to_which_they_go(as_ada):
    assert as_ada.get("/tasks/?q=asset").status_code == 200
    assert {entry.queue for entry in catalogue.entries() if entry.name in views.TASKS} == {"heavy"}


def test_the_navigation_leads_here(as_ada):
    assert '<a href="/assets/" aria-current="page">Assets</a>' in as_ada.get("/assets/").content.decode()


def test_upload_and_process_is_one_button_for_who_may(as_ada, ada, upload, django_capture_on_commit_callbacks):
    assert b"Upload and process" not in as_ada.get("/assets/").content
    as_ada.post("/assets/", {"file": upload(), "process": "1"})
    assert not Job.objects.exists()  # the asset is there, the job is not
    ada.is_staff = True
    ada.save()
    assert b"Upload and process" in as_ada.get("/assets/").content
    answer = as_ada.post("/assets/", {"file": upload(), "process": "1"})
    asset = Asset.objects.first()
    assert answer["Location"] == asset.get_absolute_url()
    job = Job.objects.get()
    assert (job.task, job.kwargs, job.owner) == ("Process asset", {"asset": asset.pk}, ada)


def test_the_page_of_a_job_names_its_asset_to_those_who_may_see_it(client, cube, ada, bob):
    for owner in (ada, bob):
        job = Job.objects.create(pk=f"of-{owner}", task="assets.inspect", owner=owner, kwargs={"asset": cube.pk})
        client.force_login(owner)
        page = client.get(job.get_absolute_url()).content.decode()
        assert f"<code>{cube.pk}</code>" in page
        assert (f"<dd>{cube.name} <code>" in page) == (owner == ada)
