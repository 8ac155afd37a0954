"""Assets over REST."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from assets.models import Asset


@pytest.fixture
def as_ada(client, ada):
    client.force_login(ada)
    return client


def test_upload_list_show_and_delete(as_ada, upload, ply):
    answer = as_ada.post("/api/assets/", {"file": upload(), "name": "My cube"})
    assert answer.status_code == 201
    made = answer.json()
    asset = Asset.objects.get()
    assert (made["id"], made["name"], made["format"], made["size"]) == (asset.pk, "My cube", "ply", len(ply))
    assert (made["owner"], made["facts"], made["results"]) == ("ada", {}, [])
    assert (made["url"], made["download"]) == (asset.get_absolute_url(), f"/api/files/{asset.file.pk}/")
    assert as_ada.get("/api/assets/").json()["results"] == [made]
    assert as_ada.get(f"/api/assets/{asset.pk}/").json() == made
    assert as_ada.delete(f"/api/assets/{asset.pk}/").status_code == 204
    assert not Asset.objects.exists()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.ply", b"", "The file is empty"),
        ("a.ply", b"<html>", "its content is none of"),
        ("a.png", b"x", "Known: PLY"),
    ],
)
def test_a_refusal_names_the_field_and_the_remedy(as_ada, name, content, says):
    answer = as_ada.post("/api/assets/", {"file": SimpleUploadedFile(name, content)})
    assert answer.status_code == 400
    assert says in str(answer.json())
    assert "file" in str(answer.json())
    assert as_ada.post("/api/assets/", {}).status_code == 400


def test_the_mesh_comes_back_as_it_was(as_ada, cube, ply):
    content = as_ada.get(as_ada.get(f"/api/assets/{cube.pk}/").json()["download"])
    assert b"".join(content.streaming_content) == ply
    content.close()


@pytest.mark.parametrize("number", [0, 2**62, 10**30])
def test_any_number_may_be_asked_for(as_ada, number):
    for address in (f"/api/assets/{number}/", f"/assets/{number}/"):
        assert as_ada.get(address).status_code == 404
    assert as_ada.get("/api/assets/?cursor=x").status_code == 400  # no page has given it


def test_odd_characters_in_names_are_no_error_of_ours(as_ada, upload):
    assert as_ada.post("/api/assets/", {"file": upload(), "name": "a\x00b"}).status_code == 400
    assert as_ada.post("/api/assets/", {"file": upload(), "name": "\u202e \ud7ff"}).status_code == 201


def test_a_second_person_finds_nothing(client, bob, cube):
    client.force_login(bob)
    assert client.get("/api/assets/").json()["results"] == []
    assert client.get(f"/api/assets/{cube.pk}/").status_code == 404
    assert client.delete(f"/api/assets/{cube.pk}/").status_code == 404
    assert Asset.objects.exists()


def test_no_one_gets_in_without_a_name(client, cube):
    assert client.get("/api/assets/").status_code in {401, 403}
    assert client.post("/api/assets/", {}).status_code in {401, 403}
