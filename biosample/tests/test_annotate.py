"""Records annotated with terms: once for each value, again when something changed, and alone with the vocabulary."""

import itertools

import pytest

from biosample import checks, services, term_display
from biosample.models import Annotation, Submission
from biosample.services import annotations as annotating_module
from biosample.tasks import AnnotateAllTask, AnnotateRecordsTask
from image.celery import app
from jobroom import redis
from jobroom.exceptions import JobFailed
from jobroom.locks import ExclusiveLock
from jobroom.resources.access import given
from ontology.models import SHIPPED
from ontology.vocabulary import builder, parser
from ontology.vocabulary.index import Index

Outcome = Annotation.Outcome


class Quiet:
    """Stands in for a task: remembers what it was given."""

    def __init__(self):
        self.lines = []

    def track(self, rows, message=""):
        return rows

    def log(self, level, message, obj=None):
        self.lines.append((level, message))


@pytest.fixture(scope="session")
def indexes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("indexes")
    found = {}
    for path in SHIPPED.glob("*.obo"):
        terms, meta = parser.read(path, "obo")
        builder.build(folder / path.stem, terms, meta, lambda *step: None)
        found[path.stem] = Index(folder / path.stem, path.stem, 1)
    yield found
    for index in found.values():
        index.close()


@pytest.fixture
def _resource(indexes):
    redis.client().flushdb()
    with given({"vocabularies": indexes}):
        yield


@pytest.fixture
def herd(owner):
    """A submission of four records; the breed of one is misspelt, that of another has two meanings."""
    submission = Submission.objects.create(owner=owner, title="Herd")
    for number, breed in enumerate(["Holstein", "holsteins", "Holstien", "Maltese"]):
        submission.records.create(
            alias=f"a{number}", breed=breed, species="cattle", organism_part="Livers" if number else ""
        )
    return submission


def outcomes(attribute="breed"):
    rows = Annotation.objects.filter(attribute=attribute).order_by("record__alias")
    return list(rows.values_list("value", "outcome", "term_name"))


def test_each_record_gets_its_term_or_why_it_has_none(herd, indexes):
    reporter = Quiet()
    counts = services.annotate(attribute="breed", index=indexes["breed"], reporter=reporter, job_id="j1")
    assert outcomes() == [
        ("Holstein", "found", "Holstein Friesian"),
        ("holsteins", "found", "Holstein Friesian"),
        ("Holstien", "nothing", ""),
        ("Maltese", "ambiguous", ""),
    ]
    assert counts.result() == {
        "summary": "4 records looked up: 2 found, 1 ambiguous, 1 nothing.",
        "values": 4, "records": 4, "found": 2, "ambiguous": 1, "nothing": 1, "failed": 0,
    }  # fmt: skip
    first, _, misspelt, double = Annotation.objects.order_by("record__alias")
    assert (first.term_id, first.confidence, first.how, first.vocabulary, first.vocabulary_version, first.job_id) == (
        "LOCALBREED:0101", 0.95, "exact synonym", "breed", 1, "j1",
    )  # fmt: skip
    assert misspelt.suggestions[0]["name"] == "Holstein Friesian"
    assert {near["name"] for near in double.suggestions} == {"Maltese", "Maltese Terrier"}
    assert [level for level, _ in reporter.lines] == ["warning", "warning"]


def test_only_what_is_new_or_changed_is_looked_up_again(herd, indexes):
    index = indexes["breed"]
    services.annotate(attribute="breed", index=index, reporter=Quiet())
    assert services.annotate(attribute="breed", index=index, reporter=Quiet()).values == 0
    herd.records.filter(alias="a2").update(breed="Jersey")
    herd.records.filter(alias="a3").update(breed="")
    assert services.annotate(attribute="breed", index=index, reporter=Quiet()).values == 1
    assert outcomes()[2:] == [("Jersey", "found", "Jersey")]
    newer = Index(index.path, "breed", 2)
    assert services.annotate(attribute="breed", index=newer, reporter=Quiet()).records == 3
    newer.close()


def test_a_value_is_looked_up_once_for_all_its_records(owner, indexes, monkeypatch):
    submission = Submission.objects.create(owner=owner, title="Many")
    for number in range(1203):
        submission.records.create(alias=f"r{number}", species="cattle" if number % 2 else "sheep")
    asked = []
    real = annotating_module._looked_up
    monkeypatch.setattr(annotating_module, "_looked_up", lambda value, index: asked.append(value) or real(value, index))
    counts = services.annotate(attribute="species", index=indexes["species"], reporter=Quiet())
    assert (sorted(asked), counts.found, Annotation.objects.count()) == (["cattle", "sheep"], 1203, 1203)


def test_what_goes_wrong_with_one_value_does_not_stop_the_others(herd, indexes, monkeypatch):
    real = annotating_module._looked_up

    def look_up(value, index):
        if value == "Holstien":
            raise RuntimeError("the index burns")
        return real(value, index)

    monkeypatch.setattr(annotating_module, "_looked_up", look_up)
    reporter = Quiet()
    counts = services.annotate(attribute="breed", index=indexes["breed"], reporter=reporter)
    assert (counts.failed, counts.found) == (1, 2)
    assert Annotation.objects.get(outcome=Outcome.FAILED).problem == "RuntimeError: the index burns"
    assert ("error", "breed “Holstien” could not be looked up: RuntimeError: the index burns") in reporter.lines
    monkeypatch.setattr(annotating_module, "_looked_up", real)
    assert services.annotate(attribute="breed", index=indexes["breed"], reporter=Quiet()).values == 1


def test_when_all_go_wrong_the_job_fails(herd, indexes, monkeypatch):
    def look_up(value, index):
        raise RuntimeError("the index burns")

    monkeypatch.setattr(annotating_module, "_looked_up", look_up)
    with pytest.raises(JobFailed, match="the index burns"):
        services.annotate(attribute="breed", index=indexes["breed"], reporter=Quiet())


@pytest.mark.usefixtures("_resource")
def test_annotate_records_works_with_one_vocabulary(herd):
    answer = AnnotateRecordsTask().run("breed")
    assert list(answer) == ["breed"]
    assert answer["breed"]["found"] == 2
    assert set(Annotation.objects.values_list("attribute", flat=True)) == {"breed"}
    with pytest.raises(JobFailed, match="Nothing is annotated with “nope”, but with: breed, organism_part, species"):
        AnnotateRecordsTask().run("nope")


@pytest.mark.usefixtures("_resource")
def test_annotate_all_works_with_all(herd):
    answer = AnnotateAllTask().run()
    assert {name: counts["found"] for name, counts in answer.items()} == {"species": 4, "breed": 2, "organism_part": 3}


@pytest.mark.usefixtures("_resource")
def test_two_with_the_same_vocabulary_exclude_each_other_and_others_do_not(herd, settings):
    settings.BIOSAMPLE_ANNOTATE_WAIT = 0.0
    with ExclusiveLock("annotate:breed"):
        assert AnnotateRecordsTask().run("breed") == "Annotate records already running!"
        assert AnnotateRecordsTask().run("species")["species"]["found"] == 4
        answer = AnnotateAllTask().run()
        assert answer["breed"]["summary"].startswith("Left to")
        assert answer["organism_part"]["found"] == 3
    with ExclusiveLock("AnnotateAll"):
        assert AnnotateAllTask().run() == "Annotate All already running!"


@pytest.mark.usefixtures("_resource")
def test_annotate_all_holds_the_vocabulary_while_it_works(herd, monkeypatch):
    seen = []
    real = services.annotate

    def annotate(**options):
        seen.append(AnnotateRecordsTask().run(options["index"].name))
        return real(**options)

    monkeypatch.setattr("biosample.tasks.services.annotate", annotate)
    AnnotateAllTask().run()
    assert seen == ["Annotate records already running!"] * 3


def test_a_vocabulary_that_is_missing_does_not_stop_annotate_all(herd, indexes):
    redis.client().flushdb()

    class WithoutBreed(dict):
        def __missing__(self, name):
            raise JobFailed(f"There is no vocabulary “{name}”.")

    with given({"vocabularies": WithoutBreed({"species": indexes["species"]})}):
        answer = AnnotateAllTask().run()
    assert answer["species"]["found"] == 4
    assert answer["breed"]["summary"] == "There is no vocabulary “breed”."
    with given({"vocabularies": WithoutBreed()}), pytest.raises(JobFailed, match=r"“species”.*“breed”"):
        AnnotateAllTask().run()


@pytest.mark.usefixtures("_resource")
def test_one_submission_is_annotated_alone(herd, owner):
    other = Submission.objects.create(owner=owner, title="Other")
    other.records.create(alias="x", breed="Jersey")
    answer = app.tasks["biosample.annotate_submission"].run(herd)
    assert answer["breed"]["records"] == 4
    assert not Annotation.objects.filter(record__submission=other).exists()


# Pages ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def annotated(herd, indexes):
    for attribute, name in itertools.islice({"species": "species", "breed": "breed"}.items(), 2):
        services.annotate(attribute=attribute, index=indexes[name], reporter=Quiet())
    return herd


def test_the_page_shows_terms_confidence_source_and_suggestions(client, annotated, owner):
    client.force_login(owner)
    text = client.get(annotated.get_absolute_url()).content.decode()
    for part in (
        "Bos taurus", "NCBITaxon:9913", "95%, by exact synonym, breed version 1", "Without a term", "Holstien", "87%",
        "it has several meanings", "not looked up yet", "Of 11 values 6 have a term, 2 have none, 3 are not looked up yet",
    ):  # fmt: skip
        assert part in text, part


def test_a_changed_value_waits_for_the_next_time(annotated):
    annotated.records.filter(alias="a0").update(breed="Jersey")
    ((_, cells), *_) = term_display.rows(list(annotated.records.order_by("pk").prefetch_related("annotations")))
    assert [cell.outcome for cell in cells] == ["found", "waiting", ""]
    annotated.records.filter(alias="a2").update(breed="")
    assert {row["value"] for row in term_display.unmatched(annotated)} == {"Maltese"}


def test_others_are_answered_that_there_is_none(client, annotated, django_user_model):
    client.force_login(django_user_model.objects.create_user("eve"))
    assert client.get(annotated.get_absolute_url()).status_code == 404
    assert "No submission" in client.get("/submissions/").content.decode()


def test_the_list_has_ones_own_submissions_in_pages(client, annotated, owner, monkeypatch):
    monkeypatch.setattr("biosample.views.PAGE", 1)
    Submission.objects.create(owner=owner, title="Second")
    client.force_login(owner)
    first = client.get("/submissions/").content.decode()
    assert "Second" in first
    assert "Herd" not in first
    assert "Herd" in client.get(f"/submissions/?before={Submission.objects.first().pk}").content.decode()


def test_the_admin_shows_terms_and_sends_jobs(admin_client, annotated):
    redis.client().flushdb()
    listed = admin_client.get(f"/admin/biosample/record/?submission__id__exact={annotated.pk}").content.decode()
    assert "LOCALBREED:0101 Holstein Friesian (95%)" in listed
    assert "Holstien: nothing" in listed
    data = {"action": "annotate_now", "_selected_action": [annotated.pk]}
    answer = admin_client.post("/admin/biosample/submission/", data, follow=True)
    assert "Jobs sent: 1" in answer.content.decode()
    annotations = admin_client.get("/admin/biosample/annotation/?q=Holst").content.decode()
    assert "Holstein Friesian" in annotations
    confirmed = admin_client.post(f"/admin/biosample/submission/{annotated.pk}/delete/", {"post": "yes"})
    assert confirmed.status_code == 302
    assert Annotation.objects.count() == 0


def test_an_option_that_names_no_attribute_is_reported(settings):
    assert checks.vocabularies() == []
    settings.BIOSAMPLE_VOCABULARIES = {"bread": "breed", "species": "No Name"}
    first, second = checks.vocabularies()
    assert (first.id, first.hint) == ("biosample.E002", "Did you mean breed?")
    assert second.id == "biosample.E003"
