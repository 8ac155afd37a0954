"""The pages of the spam models, who may see them, and who may change what works."""

import pytest
from django.contrib.auth.models import Group, Permission

from jobroom.jobs.models import Job, State, TaskRule
from text import views
from text.matrix import Matrix
from text.models import SpamModel

LIST = "/text/models/"


@pytest.fixture
def as_grace(client, grace):
    client.force_login(grace)
    return client


@pytest.fixture
def as_ada(client, ada):
    client.force_login(ada)
    return client


def test_the_empty_page_teaches(as_grace):
    page = as_grace.get(LIST).content.decode()
    assert "No version yet" in page
    assert "manage.py train_spam_detector" in page
    assert '<a href="/text/models/" aria-current="page">Models</a>' in page


def test_the_list_shows_versions_and_pages(as_grace, version, monkeypatch):
    monkeypatch.setattr(views, "PAGE", 2)
    version(promoted=True, job_id="j1")
    version()
    version(promoted=True)
    first = as_grace.get(LIST).content.decode()
    assert "Version 3" in first
    assert "Promoted" in first
    assert "Roll back to version 1" in first
    assert 'href="/text/models/1/"' not in first
    older = as_grace.get(f"{LIST}?before=2").content.decode()
    assert 'href="/text/models/1/"' in older
    assert "No older version" in as_grace.get(f"{LIST}?before=1").content.decode()
    for nonsense in ("x", "-1", "9" * 30):
        assert as_grace.get(LIST, {"before": nonsense}).status_code == 400


def test_a_running_training_is_shown(as_grace, grace):
    Job.objects.create(id="t1", task="Train spam detector", state=State.RUNNING, owner=grace)
    page = as_grace.get(LIST).content.decode()
    assert "/jobs/t1/" in page
    assert 'data-refresh="2"' in page


def test_the_page_of_a_version_shows_figures_and_matrix(as_grace, grace, version):
    Job.objects.create(id="t1", task="Train spam detector", state=State.SUCCEEDED, owner=grace)
    row = version(job_id="t1", verdict="Not better by <enough>", by=grace)
    page = as_grace.get(row.get_absolute_url()).content.decode()
    assert "Not better by &lt;enough&gt;" in page
    assert "/jobs/t1/" in page
    assert '<title id="matrix-title">Confusion matrix</title>' in page
    assert "are taken for spam." in page
    assert page.count('<th scope="row">') == 6
    assert "complement naive Bayes" in page
    assert "style=" not in page


def test_the_matrix_says_in_words_what_it_shows():
    matrix = Matrix([[650, 2], [0, 0]])
    assert matrix.text.startswith("Of the ham messages 650 (99.7 %) are taken for ham.")
    assert [cell.level for cell in matrix.cells] == [5, 1, 0, 0]
    assert [cell.right for cell in matrix.cells] == [True, False, False, True]


def test_promoting_and_rolling_back_by_their_buttons(as_grace, version, grace):
    version(promoted=True)
    row = version()
    assert as_grace.get(f"{row.get_absolute_url()}promote/").status_code == 405
    answer = as_grace.post(f"{row.get_absolute_url()}promote/")
    assert (answer.status_code, answer["Location"]) == (303, row.get_absolute_url())
    assert "Version 2 is promoted" in as_grace.get(row.get_absolute_url()).content.decode()
    assert SpamModel.objects.promoted().promoted_by == grace
    answer = as_grace.post(f"{LIST}roll-back/", follow=True)
    assert "Back to version 1." in answer.content.decode()
    assert SpamModel.objects.promoted().version == 1


def test_a_refused_file_is_a_message_and_no_error(as_grace, version):
    row = version()
    row.file.path.unlink()
    page = as_grace.post(f"{row.get_absolute_url()}promote/", follow=True).content.decode()
    assert "The file of version 1 is gone" in page
    assert "nothing to go back to" in as_grace.post(f"{LIST}roll-back/", follow=True).content.decode()


def test_who_has_nothing_to_do_with_it_sees_nothing(as_ada, version):
    row = version(promoted=True)
    page = as_ada.get(LIST).content.decode()
    assert "Nothing to see for you" in page
    assert "Version 1" not in page
    assert as_ada.get(row.get_absolute_url()).status_code == 404
    assert as_ada.post(f"{row.get_absolute_url()}promote/").status_code == 403
    assert as_ada.post(f"{LIST}roll-back/").status_code == 403


def test_who_may_launch_may_see_but_not_promote(as_ada, ada, version):
    group = Group.objects.create(name="writers")
    ada.groups.add(group)
    TaskRule.objects.create(task="detect_spam").launch.add(group)
    version(promoted=True)
    row = version()
    page = as_ada.get(row.get_absolute_url()).content.decode()
    assert "Version 2" in page
    assert "Promote</button>" not in page
    assert "Download" not in page
    assert as_ada.post(f"{row.get_absolute_url()}promote/").status_code == 403
    page = as_ada.get(LIST).content.decode()
    assert "detect_spam" in page
    assert "Classify" not in page  # what no rule opens does not exist
    TaskRule.objects.create(task="Classify messages").see.add(group)
    assert "No rule opens this task to you" in as_ada.get(LIST).content.decode()


def test_the_permission_lets_someone_promote(as_ada, ada, version):
    ada.user_permissions.add(Permission.objects.get(codename="promote_spammodel"))
    version(promoted=True)
    row = version()
    assert "Promote</button>" in as_ada.get(row.get_absolute_url()).content.decode()
    assert as_ada.post(f"{row.get_absolute_url()}promote/").status_code == 303
    assert SpamModel.objects.promoted().version == 2


def test_strangers_are_asked_to_log_in(client, version):
    row = version()
    for address in (LIST, row.get_absolute_url()):
        assert client.get(address)["Location"].startswith("/login/")
    assert client.post(f"{row.get_absolute_url()}promote/")["Location"].startswith("/login/")


def test_the_api_lists_shows_and_promotes(as_grace, version):
    version(promoted=True)
    version(verdict="why")
    found = as_grace.get("/api/text/models/").json()["results"]
    assert [(row["version"], row["state"]) for row in found] == [(2, "candidate"), (1, "promoted")]
    shown = as_grace.get("/api/text/models/2/").json()
    assert (shown["verdict"], len(shown["folds"]), shown["url"]) == ("why", 5, "/text/models/2/")
    answer = as_grace.post("/api/text/models/2/promote/")
    assert (answer.status_code, answer.json()["state"], answer.json()["promoted_by"]) == (200, "promoted", "grace")
    assert as_grace.post("/api/text/models/roll-back/").json()["version"] == 1
    assert as_grace.post("/api/text/models/9/promote/").status_code == 404
    SpamModel.objects.get(version=2).file.path.unlink()
    answer = as_grace.post("/api/text/models/2/promote/")
    assert (answer.status_code, answer["Content-Type"]) == (409, "application/problem+json")
    assert "is gone" in answer.json()["detail"]


def test_the_api_is_closed_to_others(as_ada, ada, version):
    version(promoted=True)
    version()
    assert as_ada.get("/api/text/models/").json()["results"] == []
    assert as_ada.get("/api/text/models/1/").status_code == 404
    assert as_ada.post("/api/text/models/2/promote/").status_code == 404
    assert as_ada.post("/api/text/models/roll-back/").status_code == 403
    ada.user_permissions.add(Permission.objects.get(codename="view_spammodel"))
    assert as_ada.get("/api/text/models/1/").status_code == 200
    assert as_ada.post("/api/text/models/2/promote/").status_code == 403


@pytest.mark.parametrize("number", [0, 2**31, 2**63, 10**30])
def test_any_number_may_be_asked_for(as_grace, number):
    for address in (f"/api/text/models/{number}/", f"/text/models/{number}/"):
        assert as_grace.get(address).status_code == 404
    assert as_grace.post(f"/api/text/models/{number}/promote/").status_code == 404


def test_the_admin_shows_versions_and_changes_none(as_grace, version):
    row = version()
    assert "messages.tsv" in as_grace.get("/admin/text/spammodel/").content.decode()
    assert as_grace.get(f"/admin/text/spammodel/{row.pk}/change/").status_code == 200
    assert as_grace.get("/admin/text/spammodel/add/").status_code == 403
    assert as_grace.post(f"/admin/text/spammodel/{row.pk}/delete/").status_code == 403


def test_the_launch_form_takes_a_file_or_one_uploaded_before(as_grace, upload, grace):
    old = upload("ham\thello\n", "old.tsv", grace)
    for task in ("Train spam detector", "Classify messages", "Find near-duplicates"):
        page = as_grace.get(f"/tasks/{task}/").content.decode()
        assert '<input type="file" name="file"' in page
        assert 'accept=".csv,.tsv,.txt"' in page
        assert f'<option value="{old.id}">old.tsv · ' in page
