"""The pages of the vocabularies, their API, admin and command, and who may do what."""

import pytest
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from rest_framework.test import APIClient

from jobroom.jobs.models import Job, StoredFile, TaskRule
from ontology import checks
from ontology.models import Vocabulary
from ontology.policies import LOAD
from ontology.tests.conftest import TINY

pytestmark = pytest.mark.usefixtures("no_vocabularies", "empty_redis")


@pytest.fixture
def as_ada(client, ada):
    client.force_login(ada)
    return client


@pytest.fixture
def as_grace(client, grace):
    client.force_login(grace)
    return client


def api(user):
    client = APIClient()
    client.force_authenticate(user)
    return client


def obo(content=TINY, name="tiny.obo"):
    return SimpleUploadedFile(name, content.encode())


def page(client, address):
    answer = client.get(address)
    assert answer.status_code == 200, address
    return answer.content.decode()


# Pages ---------------------------------------------------------------------------------------------------------------


def test_the_empty_page_teaches(as_grace):
    text = page(as_grace, "/vocabularies/")
    assert "No vocabulary yet" in text
    assert "manage.py load_vocabulary" in text


def test_who_may_not_load_sees_no_form_and_cannot_post(as_ada):
    text = page(as_ada, "/vocabularies/")
    assert 'type="file"' not in text
    assert LOAD in text
    assert as_ada.post("/vocabularies/", {"name": "x", "file": obo()}).status_code == 403
    assert StoredFile.objects.count() == 0


def test_a_rule_opens_loading_to_a_group(as_ada, ada):
    group = Group.objects.create(name="curators")
    ada.groups.add(group)
    TaskRule.objects.create(task=LOAD).launch.add(group)
    answer = as_ada.post("/vocabularies/", {"name": "tiny", "file": obo()})
    job = Job.objects.get()
    assert (answer.status_code, answer["Location"]) == (303, f"/jobs/{job.pk}/")
    assert "Being loaded" in page(as_ada, "/vocabularies/")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"name": "Big Name"}, "Use small letters"),
        ({"name": "x", "file": obo("")}, "is empty"),
        ({"name": "x", "file": obo("<html>")}, "is neither OBO"),
        ({"name": "x"}, "Choose a file"),
        ({"file": obo()}, "Give the vocabulary a name"),
    ],
)
def test_a_wrong_upload_is_reported_at_its_field(as_grace, data, reason):
    answer = as_grace.post("/vocabularies/", {"file": obo(), **data} if "Big" in str(data) else data)
    assert answer.status_code == 422
    assert reason in answer.content.decode()
    assert Job.objects.count() == 0


def test_too_large_an_upload_is_refused(as_grace, settings):
    settings.ONTOLOGY_MAX_BYTES = 10
    answer = as_grace.post("/vocabularies/", {"name": "x", "file": obo()})
    assert "at most 0 MB are allowed (ONTOLOGY_MAX_BYTES)" in answer.content.decode()


def test_the_page_of_a_vocabulary_has_counts_roots_and_terms(as_ada, tiny):
    text = page(as_ada, "/vocabularies/tiny/")
    for part in (
        "6 terms",
        "2 of them obsolete",
        "At the top",
        ">organ<",
        ">kidney<",
        "X:3",
        "2026-01-31",
        "1 times a parent",
    ):
        assert part in text, part
    assert "Delete this vocabulary" not in text


def test_terms_are_searched_by_name_synonym_and_id(as_ada, tiny):
    assert "also called hepar" in page(as_ada, "/vocabularies/tiny/?q=hep")
    assert ">liver<" in page(as_ada, "/vocabularies/tiny/?q=X:20")
    nothing = page(as_ada, "/vocabularies/tiny/?q=lvier")
    assert "No name, synonym or id begins like that" in nothing
    assert "80% alike" in nothing
    for nonsense in ("%00", "%F0%9F%90%84", "'; DROP TABLE terms", "%25", "<b>", "a" * 500):
        assert as_ada.get(f"/vocabularies/tiny/?q={nonsense}&page=99").status_code == 200
        assert as_ada.get(f"/vocabularies/tiny/?q={nonsense}&page=abc").status_code == 400


def test_long_lists_of_terms_have_pages(as_ada, tmp_path):
    from ontology import services

    path = tmp_path / "many.obo"
    path.write_text(
        "format-version: 1.2\n\n" + "".join(f"[Term]\nid: M:{n:03}\nname: term {n:03}\n\n" for n in range(120))
    )
    services.load(name="many", source=path, by=None)
    assert "term 049" in page(as_ada, "/vocabularies/many/")
    second = page(as_ada, "/vocabularies/many/?page=2")
    assert "term 050" in second
    assert "?q=&amp;page=3" in second
    assert "There are no more terms" in page(as_ada, "/vocabularies/many/?page=9")


def test_the_page_of_a_term_has_names_path_and_children(as_ada, tiny):
    text = page(as_ada, "/vocabularies/tiny/terms/X:2/")
    for part in ("The large one on the right.", "hepar", "hepatic tissue", "is part of", "X:20", "leaf of the tree"):
        assert part in text, part
    assert ">liver<" in page(as_ada, "/vocabularies/tiny/terms/X:1/")
    assert "Use instead: " in page(as_ada, "/vocabularies/tiny/terms/X:4/")
    assert "Perhaps instead: " in page(as_ada, "/vocabularies/tiny/terms/X:6/")
    answer = as_ada.get("/vocabularies/tiny/terms/X:20/")
    assert (answer.status_code, answer["Location"]) == (303, "/vocabularies/tiny/terms/X:2/")
    assert as_ada.get("/vocabularies/tiny/terms/X:99/").status_code == 404


def test_a_failed_load_is_shown_and_the_old_version_said_to_stay(as_ada, tiny):
    from django.utils import timezone

    Vocabulary.objects.update(error="The file is <b>bad</b>.", failed_at=timezone.now())
    for address in ("/vocabularies/", "/vocabularies/tiny/"):
        assert "The file is &lt;b&gt;bad&lt;/b&gt;." in page(as_ada, address)
    assert "Version 1 stays in use" in page(as_ada, "/vocabularies/tiny/")


def test_one_that_is_not_loaded_yet_says_who_will(as_ada):
    Vocabulary.objects.create(name="breed", shipped=True)
    assert "waits for a worker" in page(as_ada, "/vocabularies/")
    assert "A worker of the queue default loads it" in page(as_ada, "/vocabularies/breed/")
    assert as_ada.get("/vocabularies/breed/terms/X:1/").status_code == 404


def test_a_lost_index_is_a_sentence(as_ada, tiny):
    tiny.index.path.unlink()
    assert "cannot be read: load its file again" in page(as_ada, "/vocabularies/tiny/")


def test_strangers_are_asked_to_sign_in(client, tiny):
    for address in ("/vocabularies/", "/vocabularies/tiny/", "/vocabularies/tiny/terms/X:2/"):
        assert client.get(address)["Location"].startswith("/login/")


def test_only_the_staff_delete(client, ada, grace, tiny):
    client.force_login(ada)
    assert client.post("/vocabularies/tiny/delete/").status_code == 403
    client.force_login(grace)
    assert "Delete this vocabulary" in page(client, "/vocabularies/tiny/")
    assert client.post("/vocabularies/tiny/delete/").status_code == 303
    assert client.get("/vocabularies/tiny/").status_code == 404


# API -----------------------------------------------------------------------------------------------------------------


def test_the_api_lists_shows_and_searches(ada, tiny):
    client = api(ada)
    (row,) = client.get("/api/vocabularies/").json()
    assert (row["name"], row["version"], row["terms"], row["file_name"]) == ("tiny", 1, 6, "tiny.obo")
    assert client.get("/api/vocabularies/tiny/").json() == row
    found = client.get("/api/vocabularies/tiny/terms/?q=hep").json()
    assert found == {"more": False, "results": [{"id": "X:2", "name": "liver", "obsolete": False, "synonym": "hepar"}]}
    term = client.get("/api/vocabularies/tiny/terms/X:20/").json()
    assert (term["id"], term["children_count"], term["paths_complete"]) == ("X:2", 0, True)
    assert [[step["id"] for step in path] for path in term["paths"]] == [["X:2", "X:5"], ["X:2", "X:1"]]
    assert client.get("/api/vocabularies/tiny/terms/nope/").status_code == 404
    assert client.get("/api/vocabularies/tiny/terms/?page=0").json()["errors"]["page"]
    assert client.get("/api/vocabularies/none/").status_code == 404


def test_the_api_loads_by_a_job(grace):
    answer = api(grace).post("/api/vocabularies/", {"name": "tiny", "file": obo()}, format="multipart")
    job = Job.objects.get()
    assert answer.status_code == 202
    assert answer.json() == {"vocabulary": "tiny", "job": job.pk, "url": f"/api/jobs/{job.pk}/"}
    wrong = api(grace).post("/api/vocabularies/", {"name": "tiny", "file": obo("x")}, format="multipart")
    assert (wrong.status_code, list(wrong.json()["errors"])) == (400, ["file"])


def test_the_api_refuses_whom_no_rule_lets(ada, tiny):
    answer = api(ada).post("/api/vocabularies/", {"name": "tiny", "file": obo()}, format="multipart")
    assert answer.status_code == 403
    assert api(ada).delete("/api/vocabularies/tiny/").status_code == 403
    assert APIClient().get("/api/vocabularies/").status_code == 401


def test_the_api_deletes_for_the_staff(grace, tiny):
    assert api(grace).delete("/api/vocabularies/tiny/").status_code == 204
    assert Vocabulary.objects.count() == 0


def test_terms_of_one_that_is_not_loaded_are_a_conflict(ada):
    Vocabulary.objects.create(name="breed", shipped=True)
    answer = api(ada).get("/api/vocabularies/breed/terms/")
    assert (answer.status_code, "not loaded yet" in answer.json()["detail"]) == (409, True)


# Command, admin, checks ----------------------------------------------------------------------------------------------


def test_the_command_loads_in_its_own_process(tiny_file, capsys):
    call_command("load_vocabulary", "tiny", str(tiny_file), "--here")
    assert capsys.readouterr().out == "tiny is loaded: version 1, 6 terms.\n"


@pytest.mark.parametrize(("name", "content", "reason"), [("Bad", TINY, "small letters"), ("x", "y", "neither OBO")])
def test_the_command_refuses_with_a_sentence(tmp_path, name, content, reason):
    path = tmp_path / "x.obo"
    path.write_text(content)
    with pytest.raises(CommandError, match=reason) as refused:
        call_command("load_vocabulary", name, str(path), "--here")
    assert refused.value.returncode == 2
    with pytest.raises(CommandError, match="cannot be read: No such file"):
        call_command("load_vocabulary", "x", str(tmp_path / "absent"))


def test_the_admin_shows_and_deletes(as_grace, tiny):
    assert "tiny" in page(as_grace, "/admin/ontology/vocabulary/")
    assert "2026-01-31" in page(as_grace, f"/admin/ontology/vocabulary/{tiny.pk}/change/")
    assert as_grace.get("/admin/ontology/vocabulary/add/").status_code == 403
    data = {"action": "delete_selected", "_selected_action": [tiny.pk], "post": "yes"}
    assert as_grace.post("/admin/ontology/vocabulary/", data).status_code == 302
    assert (Vocabulary.objects.count(), StoredFile.objects.count()) == (0, 0)


def test_limits_with_which_nothing_works_are_named(settings):
    assert checks.limits() == []
    settings.ONTOLOGY_MEMORY = 1
    settings.ONTOLOGY_SECONDS = 0
    assert [error.id for error in checks.limits()] == ["ontology.E001", "ontology.E001"]
