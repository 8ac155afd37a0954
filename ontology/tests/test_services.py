"""Loading vocabularies: what is kept, what is replaced, and what a failed load leaves."""

from importlib import import_module

import pytest
from django.apps import apps
from django.core.files.uploadedfile import SimpleUploadedFile

from jobroom.jobs.exceptions import NotNow
from jobroom.jobs.models import Source, StoredFile
from jobroom.locks import ExclusiveLock
from jobroom.testing import transactions
from ontology import services
from ontology.exceptions import Refused, VocabularyFailed
from ontology.models import Vocabulary
from ontology.resources import Vocabularies
from ontology.tests.conftest import TINY

announcing = import_module("ontology.migrations.0002_shipped")


def kept():
    return {file.name for file in StoredFile.objects.all() if file.path.exists()}


def test_a_file_becomes_a_vocabulary(tiny):
    assert (tiny.version, tiny.terms, tiny.obsolete, tiny.labels, tiny.outside) == (1, 6, 2, 8, 1)
    assert (tiny.format, tiny.ontology, tiny.data_version, tiny.error) == ("obo", "tiny", "2026-01-31", "")
    assert tiny.sha256 == tiny.file.sha256
    with tiny.open() as index:
        assert index.term("X:2").name == "liver"


def test_a_new_version_replaces_the_old_one_and_its_files(tiny, tmp_path, django_capture_on_commit_callbacks):
    path = tmp_path / "two.obo"
    path.write_text("format-version: 1.2\n\n[Term]\nid: Y:1\nname: other\n")
    reader = tiny.open()
    with django_capture_on_commit_callbacks(execute=True):
        second = services.load(name="tiny", source=path, by=None)
    assert (second.pk, second.version, second.terms) == (tiny.pk, 2, 1)
    assert kept() == {"two.obo", "tiny.index"}
    assert StoredFile.objects.count() == 2
    with reader:  # who reads the old one goes on
        assert reader.term("X:2").name == "liver"
    with second.open() as index:
        assert index.term("X:2") is None


def test_a_failed_load_is_noted_and_leaves_the_version_in_use(tiny, tmp_path):
    path = tmp_path / "bad.obo"
    path.write_text("format-version: 1.2\n\n[Term]\nname without colon\n")
    with pytest.raises(VocabularyFailed, match="damaged in line 4"):
        services.load(name="tiny", source=path, by=None)
    tiny.refresh_from_db()
    assert tiny.version == 1
    assert "damaged in line 4" in tiny.error
    assert tiny.failed_at is not None
    with tiny.open() as index:
        assert index.meta["terms"] == 6
    good = tmp_path / "good.obo"
    good.write_text(TINY)
    assert services.load(name="tiny", source=good, by=None).error == ""


def test_a_first_load_that_fails_says_so_where_it_is_asked(no_vocabularies, tmp_path):
    path = tmp_path / "x.obo"
    path.write_text("nonsense")
    with pytest.raises(VocabularyFailed, match="is neither OBO"):
        services.load(name="fresh", source=path, by=None)
    with pytest.raises(VocabularyFailed, match=r"not loaded yet\. .* neither OBO"):
        Vocabulary.objects.get().open()


BOMB = "<!DOCTYPE r [<!ENTITY a0 'ha'>{}]><rdf:RDF xmlns:rdf='x'>&a9;</rdf:RDF>".format(
    "".join(f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 10))
)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (BOMB, "is made of others or very long"),
        ("<rdf:RDF xmlns:rdf='x'>" + "<a>" * 100_000, "nested deeper"),
        ("<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'/>", "cannot be read as an ontology"),
        ("<!DOCTYPE r [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><rdf:RDF xmlns:rdf='x'>&a;</rdf:RDF>", "another file"),
    ],
)
def test_hostile_xml_is_a_sentence(no_vocabularies, tmp_path, content, reason):
    path = tmp_path / "x.owl"
    path.write_text(content)
    with pytest.raises(VocabularyFailed, match=reason):
        services.load(name="x", source=path, by=None)


def test_too_much_memory_or_time_is_a_sentence(no_vocabularies, tmp_path, settings):
    path = tmp_path / "big.obo"
    terms = "".join(f'[Term]\nid: X:{n}\nname: term {n}\ndef: "{"long " * 50}" []\n\n' for n in range(40_000))
    path.write_text(f"format-version: 1.2\n\n{terms}")
    settings.ONTOLOGY_MEMORY = 200 * 2**20
    with pytest.raises(VocabularyFailed, match="needs more than the 200 MB"):
        services.load(name="big", source=path, by=None)
    settings.ONTOLOGY_MEMORY = 4 * 2**30
    settings.ONTOLOGY_SECONDS = 0.2
    with pytest.raises(VocabularyFailed, match="took longer"):
        services.load(name="big", source=path, by=None)
    settings.ONTOLOGY_MAX_BYTES = 1000
    with pytest.raises(VocabularyFailed, match="ONTOLOGY_MAX_BYTES"):
        services.load(name="big", source=path, by=None)


def test_an_upload_launches_the_job_that_loads_it(no_vocabularies, empty_redis, grace):
    job = services.upload(name="tiny", upload=SimpleUploadedFile("t.obo", TINY.encode()), by=grace, source=Source.API)
    stored = StoredFile.objects.get()
    assert (job.task, job.queue, job.owner) == ("ontology.load_vocabulary", "heavy", grace)
    assert job.kwargs == {"name": "tiny", "file": str(stored.pk)}
    assert stored.owner == grace


def test_a_vocabulary_that_is_deleted_meanwhile_leaves_no_index(
    tiny, tmp_path, monkeypatch, django_capture_on_commit_callbacks
):
    index = services._index

    def deleted_meanwhile(*args):
        Vocabulary.objects.all().delete()
        return index(*args)

    monkeypatch.setattr(services, "_index", deleted_meanwhile)
    stored = StoredFile.objects.get(name="tiny.obo")
    before = kept()
    with django_capture_on_commit_callbacks(execute=True), pytest.raises(VocabularyFailed, match="was deleted while"):
        services.load(name="tiny", source=stored.path, stored=stored, by=None)
    assert kept() == before


def test_a_launch_asks_redis_outside_a_transaction_and_one_that_is_refused_leaves_no_file(
    db, grace, monkeypatch, settings, django_capture_on_commit_callbacks
):
    def refused(**_):
        raise NotNow("The queue is full.")

    monkeypatch.setattr(services, "launch", refused)
    launched = transactions.noted(monkeypatch, services, "launch")
    file = SimpleUploadedFile("tiny.obo", TINY.encode())
    with django_capture_on_commit_callbacks(execute=True), pytest.raises(NotNow):
        services.upload(name="other", upload=file, by=grace, source=Source.PAGE)
    assert launched == [False]
    assert "tiny.obo" not in kept()
    assert not StoredFile.objects.filter(name="tiny.obo", owner=grace).exists()


@pytest.mark.parametrize("name", ["", "Breed", "a-b", "1a", "ä", "a" * 51, "a\n"])
def test_what_is_no_name_is_refused(db, grace, name):
    with pytest.raises(Refused, match="Use small letters") as refused:
        services.upload(name=name, upload=SimpleUploadedFile("t.obo", TINY.encode()), by=grace, source=Source.API)
    assert refused.value.field == "name"
    assert StoredFile.objects.count() == 0


def test_removal_takes_the_files_along(tiny, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        services.remove(vocabulary=tiny)
    assert (Vocabulary.objects.count(), StoredFile.objects.count()) == (0, 0)


def test_a_file_of_two_vocabularies_stays_until_both_are_gone(tiny, django_capture_on_commit_callbacks):
    other = services.load(name="twin", source=tiny.file.path, by=None, stored=tiny.file)
    with django_capture_on_commit_callbacks(execute=True):
        services.remove(vocabulary=tiny)
    assert other.file.path.exists()
    with django_capture_on_commit_callbacks(execute=True):
        services.remove(vocabulary=other)
    assert StoredFile.objects.count() == 0


def test_the_vocabularies_of_the_project_are_loaded_once(no_vocabularies, empty_redis):
    announcing.announce(apps, None)
    names = set(Vocabulary.objects.values_list("name", flat=True))
    assert names == {"breed", "organism_part", "species"}
    before = services.fingerprint()
    services.make_ready()
    services.make_ready()
    rows = list(Vocabulary.objects.all())
    assert [(row.version, row.shipped, row.error) for row in rows] == [(1, True, "")] * 3
    assert services.fingerprint() != before


def test_who_waits_for_another_worker_does_not_load_again(no_vocabularies, empty_redis, monkeypatch):
    Vocabulary.objects.create(name="breed", shipped=True)
    monkeypatch.setattr(services, "_PATIENCE", 0.0)
    with ExclusiveLock("vocabulary:breed"):
        services.make_ready()
    assert Vocabulary.objects.get().version == 0


def test_an_index_that_cannot_be_read_is_made_again_from_the_file(tiny):
    tiny.index.path.write_bytes(b"of another time")
    services.make_ready()
    tiny.refresh_from_db()
    assert (tiny.version, tiny.terms, tiny.error) == (2, 6, "")
    services.make_ready()
    tiny.refresh_from_db()
    assert tiny.version == 2


def test_a_shipped_file_that_cannot_be_loaded_stops_no_worker(no_vocabularies, empty_redis):
    Vocabulary.objects.create(name="absent", shipped=True)
    services.make_ready()
    assert "No such file" in Vocabulary.objects.get().error


def test_the_resource_gives_the_version_in_use(tiny, tiny_file):
    found = Vocabularies()
    found.warm_up()
    first = found["tiny"]
    assert found["tiny"] is first
    services.load(name="tiny", source=tiny_file, by=None)
    assert found["tiny"].version == 2
    with pytest.raises(VocabularyFailed, match="There are: tiny"):
        found["tinny"]
