"""People, files and vocabularies for the tests of the ontologies."""

from pathlib import Path

import pytest
from django.contrib.auth.models import User

from jobroom import redis
from ontology import services
from ontology.models import SHIPPED, Vocabulary
from ontology.vocabulary import builder, parser
from ontology.vocabulary.index import Index

TINY = """format-version: 1.2
data-version: 2026-01-31
ontology: tiny
import: http://127.0.0.1:9/never-fetched.obo

[Term]
id: X:1
name: organ

[Term]
id: X:2
name: liver
def: "The large one on the right." []
synonym: "hepar" EXACT []
synonym: "hepatic tissue" RELATED []
alt_id: X:20
is_a: X:1
is_a: ELSEWHERE:7
relationship: part_of X:5
relationship: undeclared X:5

[Term]
id: X:3
name: kidney
is_a: X:1

[Term]
id: X:4
name: iecur
is_obsolete: true
replaced_by: X:2

[Term]
id: X:5
name: body

[Term]
id: X:6
name: gut feeling
is_obsolete: true
consider: X:3

[Typedef]
id: part_of
name: part of
"""


@pytest.fixture
def empty_redis():
    redis.client().flushdb()


@pytest.fixture
def no_vocabularies(db):
    """Take away those that the migration announces."""
    Vocabulary.objects.all().delete()


@pytest.fixture
def ada(db):
    return User.objects.create_user("ada", password="lovelace")


@pytest.fixture
def grace(db):
    return User.objects.create_superuser("grace", password="hopper")


@pytest.fixture
def tiny_file(tmp_path):
    path = tmp_path / "tiny.obo"
    path.write_text(TINY)
    return path


def built(source: Path, target: Path, name: str) -> Index:
    terms, meta = parser.read(source, source.suffix[1:])
    builder.build(target, terms, meta, lambda *step: None)
    return Index(target, name, 1)


@pytest.fixture
def index(tiny_file, tmp_path):
    """Return the open index of the tiny vocabulary."""
    with built(tiny_file, tmp_path / "tiny.index", "tiny") as found:
        yield found


@pytest.fixture(scope="session")
def shipped(tmp_path_factory):
    """Return the open indexes of the vocabularies that come with the project, by name."""
    folder = tmp_path_factory.mktemp("shipped")
    found = {path.stem: built(path, folder / f"{path.stem}.index", path.stem) for path in sorted(SHIPPED.glob("*.obo"))}
    yield found
    for opened in found.values():
        opened.close()


@pytest.fixture(scope="session")
def tiny_index(tmp_path_factory):
    """Return the index of the tiny vocabulary as bytes, and what the process that builds it says: it is started once."""
    folder = tmp_path_factory.mktemp("tiny")
    source, target = folder / "tiny.obo", folder / "tiny.index"
    source.write_text(TINY)
    said = services._index(source, "obo", target, services.quiet)
    return target.read_bytes(), said


@pytest.fixture
def tiny(no_vocabularies, empty_redis, tiny_file, tiny_index):
    """Return a loaded vocabulary. What is loaded after it is built by a process of its own, as always."""
    content, said = tiny_index

    def built_before(source, file_type, target, progress):
        assert file_type == "obo"
        target.write_bytes(content)
        return dict(said)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(services, "_index", built_before)
        return services.load(name="tiny", source=tiny_file, by=None)
