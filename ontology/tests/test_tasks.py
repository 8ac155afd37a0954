"""What the tasks on vocabularies answer."""

import json

import pytest

from image.celery import app
from jobroom.arguments import WrongArguments, schema_of
from jobroom.exceptions import JobFailed
from jobroom.jobs.launches import default_queue
from jobroom.jobs.models import StoredFile
from jobroom.resources.access import given
from ontology.exceptions import VocabularyFailed
from ontology.models import Vocabulary
from ontology.tests.conftest import TINY


@pytest.fixture(autouse=True)
def _vocabularies(shipped):
    class Both(dict):
        def __missing__(self, name):
            raise VocabularyFailed(f"There is no vocabulary “{name}”.")

    with given({"vocabularies": Both(shipped)}):
        yield


def run(task, /, **arguments):
    answer = app.tasks[task].run(**arguments)
    return json.loads(json.dumps(answer))


def test_a_text_is_annotated_with_several_vocabularies():
    answer = run(
        "ontology.annotate_text",
        text="Liver and blood of two Holstein cows",
        vocabularies=["organism_part", "breed", "species", "breed"],
    )
    assert [(m["text"], m["vocabulary"], m["term"]["name"]) for m in answer["matches"]] == [
        ("Liver", "organism_part", "liver"),
        ("blood", "organism_part", "blood"),
        ("Holstein", "breed", "Holstein Friesian"),
        ("cows", "species", "Bos taurus"),
    ]
    assert (answer["found"], answer["ambiguous"], answer["versions"]) == (
        4,
        0,
        {"organism_part": 1, "breed": 1, "species": 1},
    )


def test_a_text_that_is_too_long_is_refused(settings):
    settings.ONTOLOGY_MAX_TEXT = 10
    with pytest.raises(JobFailed, match="at most 10"):
        run("ontology.annotate_text", text="x" * 11, vocabularies=["breed"])


def test_values_come_with_terms_candidates_or_suggestions():
    answer = run(
        "ontology.annotate_values", values=["Holsteins", "Maltese", "Holstien", "zzzz", "Holsteins"], vocabulary="breed"
    )
    values = answer["values"]
    assert answer["without"] == 3
    assert values["Holsteins"]["term"]["name"] == "Holstein Friesian"
    assert {c["name"] for c in values["Maltese"]["candidates"]} == {"Maltese", "Maltese Terrier"}
    assert values["Holstien"]["suggestions"][0]["name"] == "Holstein Friesian"
    assert values["zzzz"] == {"term": None, "candidates": [], "suggestions": []}


def test_nearest_terms_by_name_and_in_the_graph():
    near = run("ontology.nearest_terms", text="hart", vocabulary="organism_part", count=1)
    assert near["terms"][0]["name"] == "heart"
    assert near["terms"][0]["score"] == 0.8
    around = run("ontology.neighbours", term="rumen", vocabulary="organism_part", count=2, with_parts=True)
    assert {term["name"] for term in around["terms"]} == {"organ", "stomach"}
    assert around["term"] == {"id": "UBERON:0007365", "name": "rumen"}


def test_the_path_to_the_root():
    answer = run("ontology.path_to_root", term="NCBITaxon:9913", vocabulary="species")
    assert answer["complete"]
    assert [step["name"] for step in answer["paths"][0]][::3] == ["Bos taurus", "Artiodactyla", "Metazoa"]


def test_a_term_that_is_none_or_several_is_reported_with_the_nearest():
    with pytest.raises(JobFailed, match=r"has no term “lvier”\. Near are liver \(UBERON:0002107\)"):
        run("ontology.path_to_root", term="lvier", vocabulary="organism_part")
    with pytest.raises(JobFailed, match="means several terms of breed: Maltese"):
        run("ontology.neighbours", term="Maltese", vocabulary="breed")
    with pytest.raises(JobFailed, match="There is no vocabulary “x”"):
        run("ontology.neighbours", term="Maltese", vocabulary="x")


@pytest.mark.parametrize(
    ("name", "arguments", "field"),
    [
        ("ontology.annotate_text", {"text": "x", "vocabularies": []}, "vocabularies"),
        ("ontology.annotate_values", {"values": [], "vocabulary": "breed"}, "values"),
        ("ontology.nearest_terms", {"text": "x", "vocabulary": "breed", "count": 0}, "count"),
        ("ontology.nearest_terms", {"text": "x", "vocabulary": "breed", "least": 2}, "least"),
        ("ontology.neighbours", {"term": "", "vocabulary": "breed"}, "term"),
        ("ontology.path_to_root", {"term": "x"}, "vocabulary"),
    ],
)
def test_wrong_arguments_are_named(name, arguments, field):
    with pytest.raises(WrongArguments) as wrong:
        schema_of(app.tasks[name]).validate(arguments)
    assert list(wrong.value.errors) == [field]


@pytest.mark.django_db
def test_loading_by_the_task_keeps_who_and_what(no_vocabularies, empty_redis, grace, tiny_file):
    from jobroom.jobs import files

    stored = files.store_path(tiny_file, grace)
    answer = run("ontology.load_vocabulary", name="tiny", file=files.load(str(stored.pk)))
    assert answer == {"vocabulary": "tiny", "version": 1, "terms": 6, "obsolete": 2}
    row = Vocabulary.objects.get()
    assert (row.loaded_by, row.file) == (grace, stored)
    assert StoredFile.objects.count() == 2
    assert TINY.startswith(row.file.path.read_text()[:20])


def test_loading_is_for_the_heavy_queue_and_asking_for_the_usual_one():
    assert default_queue(app.tasks["ontology.load_vocabulary"]) == "heavy"
    assert default_queue(app.tasks["ontology.annotate_text"]) == "default"


@pytest.mark.django_db
def test_forms_offer_what_is_loaded(tiny):
    from jobroom.jobs.forms import launch_form

    form = launch_form(app.tasks["ontology.annotate_text"], None)
    assert [label for _, label in form.fields["vocabularies"].choices] == ["tiny (6 terms)"]
