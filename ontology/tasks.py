"""The tasks on vocabularies: load one, and ask it."""

from collections.abc import Mapping
from typing import Annotated, Any

from annotated_types import Ge, Le, MaxLen, MinLen

from image.celery import app
from jobroom.exceptions import JobFailed
from jobroom.jobs.models import StoredFile
from jobroom.tasks import Argument, File, exclusive_task
from ontology import services
from ontology.conf import settings
from ontology.models import Vocabulary
from ontology.policies import LOAD
from ontology.vocabulary import annotator, nearest
from ontology.vocabulary.index import Index, Term

# A second load of one vocabulary waits in its queue until the first is done, for a day at most.
PATIENCE = 24 * 3600.0


def usable(answers: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the vocabularies that a form offers; those of the project also before the first worker has loaded them."""
    rows = Vocabulary.objects.offered().values_list("name", "terms", "version")
    return [
        (name, f"{name} ({terms:,} terms)" if version else f"{name} (is loaded first)") for name, terms, version in rows
    ]


AVocabulary = Annotated[str, Argument(title="Vocabulary", choices=usable, order=-1)]
Vocabularies = Annotated[
    list[str], MinLen(1), Argument(title="Vocabularies", help="Where to look for terms", choices=usable, order=1)
]
ATerm = Annotated[str, MinLen(1), MaxLen(300), Argument(title="Term", help="Its id or its name, such as liver")]
Count = Annotated[int, Ge(1), Le(100), Argument(title="How many", help="At most so many terms")]
WithParts = Annotated[
    bool, Argument(title="Parts too", help="Also go from a part to what it is part of, not only to the more general")
]


@app.task(bind=True, base=app.Task, name=LOAD, acks_late=True)
@exclusive_task(task_name=LOAD, lock_id="vocabulary:{name}", blocking=True, wait=PATIENCE)
def load_vocabulary(
    self: Any,
    name: Annotated[
        str, MaxLen(50), Argument(title="Name", help="An existing one gets a new version: small letters, digits, _")
    ],
    file: Annotated[
        File, Argument(title="File", help="OBO, or OWL in RDF/XML", suffixes=(".obo", ".owl", ".rdf", ".xml"))
    ],
) -> dict[str, Any]:
    """Load an ontology as a vocabulary, in place of its version before.

    The file is read in a process with limited memory and time. Ontologies that it imports are **not fetched**: load the
    merged file. When something is wrong the version before stays in use.
    """
    stored = StoredFile.objects.select_related("owner").get(pk=file.id)
    loaded = services.load(
        name=name,
        source=stored.path,
        by=stored.owner,
        stored=stored,
        job_id=str(self.request.id or ""),
        progress=self.progress,
    )
    self.log("info", f"{loaded.name} is loaded: {loaded.terms:,} terms, {loaded.labels:,} names and synonyms.")
    if loaded.outside:
        line = f"{loaded.outside:,} times a parent is named that the file has not: load the merged file to have it."
        self.log("warning", line, obj=loaded.name)
    return {"vocabulary": loaded.name, "version": loaded.version, "terms": loaded.terms, "obsolete": loaded.obsolete}


@app.task(bind=True, base=app.Task, name="ontology.annotate_text", acks_late=True, resources=("vocabularies",))
def annotate_text(
    self: Any,
    text: Annotated[str, Argument(title="Text", help="Such as: liver of a Holstein cow", multiline=True)],
    vocabularies: Vocabularies,
) -> dict[str, Any]:
    """Find the terms of vocabularies in a text, by name, synonym or id.

    The longest name counts; case, accents and plurals do not. Words that mean several terms are **ambiguous**: they have
    no term but candidates. Of an obsolete term its replacement is given.
    """
    _check_length(text)
    found = []
    for name in self.track(list(dict.fromkeys(vocabularies)), "Looking for terms"):
        found += [match.described(name) for match in annotator.annotate(self.vocabularies[name], text)]
    found.sort(key=lambda match: (match["start"], match["end"]))
    versions = {name: self.vocabularies[name].version for name in vocabularies}
    ambiguous = sum(match["term"] is None for match in found)
    return {"found": len(found), "ambiguous": ambiguous, "matches": found, "versions": versions}


def _check_length(text: str) -> None:
    if len(text) > settings.MAX_TEXT:
        raise JobFailed(
            f"The text has {len(text):,} characters; at most {settings.MAX_TEXT:,} are annotated at once "
            "(ONTOLOGY_MAX_TEXT). Divide it."
        )


@app.task(bind=True, base=app.Task, name="ontology.annotate_values", acks_late=True, resources=("vocabularies",))
def annotate_values(
    self: Any,
    values: Annotated[
        list[str], MinLen(1), MaxLen(10_000), Argument(title="Values", help="One a line, such as holsteins")
    ],
    vocabulary: AVocabulary,
) -> dict[str, Any]:
    """Find the term that each value means as a whole, such as the breeds of a table.

    A value without a term, or with several, comes with the nearest names.
    """
    index = self.vocabularies[vocabulary]
    found = {value: meaning(index, value) for value in self.track(list(dict.fromkeys(values)), "Looking for terms")}
    missing = sum(answer["term"] is None for answer in found.values())
    return {"vocabulary": vocabulary, "version": index.version, "without": missing, "values": found}


def meaning(index: Index, value: str) -> dict[str, Any]:
    """Return the term that a value means, as JSON; else candidates, where it is ambiguous, or suggestions."""
    candidates = annotator.meanings(index, value)
    best = annotator.chosen(candidates)
    suggestions = [] if best or candidates else nearest.by_name(index, value, count=3)
    return {
        "term": best.described() if best else None,
        "candidates": [] if best else [candidate.described() for candidate in candidates],
        "suggestions": [similar.described() for similar in suggestions],
    }


@app.task(bind=True, base=app.Task, name="ontology.nearest_terms", acks_late=True, resources=("vocabularies",))
def nearest_terms(
    self: Any,
    text: Annotated[
        str, MinLen(1), MaxLen(300), Argument(title="Text", help="A name as someone wrote it, such as holstien")
    ],
    vocabulary: AVocabulary,
    count: Count = 10,
    least: Annotated[
        float, Ge(0), Le(1), Argument(title="Least score", help="1 is the same, 0 has nothing in common")
    ] = 0.5,
) -> dict[str, Any]:
    """Find the terms whose names are written most like a text: by letters, by their order of words, by common words."""
    index = self.vocabularies[vocabulary]
    found = nearest.by_name(index, text, count, least)
    return {"vocabulary": vocabulary, "version": index.version, "terms": [similar.described() for similar in found]}


@app.task(bind=True, base=app.Task, name="ontology.neighbours", acks_late=True, resources=("vocabularies",))
def neighbours(
    self: Any,
    term: ATerm,
    vocabulary: AVocabulary,
    count: Count = 10,
    distance: Annotated[int, Ge(1), Le(10), Argument(title="Distance", help="Most steps to a parent or a child")] = 3,
    with_parts: WithParts = False,
) -> dict[str, Any]:
    """Find the terms that are nearest to one in the graph, the siblings of a term being two steps away."""
    index = self.vocabularies[vocabulary]
    found = the_term(index, term)
    near = nearest.by_graph(index, found, count, distance, relations(with_parts))
    described = [neighbour.described() for neighbour in near]
    return {"vocabulary": vocabulary, "version": index.version, "term": found.brief(), "terms": described}


@app.task(bind=True, base=app.Task, name="ontology.path_to_root", acks_late=True, resources=("vocabularies",))
def path_to_root(
    self: Any,
    term: ATerm,
    vocabulary: AVocabulary,
    count: Count = 20,
    with_parts: WithParts = False,
) -> dict[str, Any]:
    """Find the ways from a term up to a root, the shortest first."""
    index = self.vocabularies[vocabulary]
    found = the_term(index, term)
    paths, complete = nearest.paths(index, found, relations(with_parts), count)
    described = [[{**step.brief(), "relation": relation} for step, relation in path] for path in paths]
    return {"vocabulary": vocabulary, "version": index.version, "complete": complete, "paths": described}


def relations(with_parts: bool) -> tuple[str, ...]:
    """Return the relations to follow."""
    return ("is_a", "part_of") if with_parts else ("is_a",)


def the_term(index: Index, text: str) -> Term:
    """Return the term that an id or a name means; raise JobFailed with the nearest ones where it means none, or several."""
    candidates = annotator.meanings(index, text)
    best = annotator.chosen(candidates)
    if best is not None:
        return best.term
    names = [f"{c.term.name} ({c.term.id})" for c in candidates[:5]]
    if names:
        raise JobFailed(f"“{text}” means several terms of {index.name}: {', '.join(names)}. Give the id.")
    near = ", ".join(f"{s.term.name} ({s.term.id})" for s in nearest.by_name(index, text, count=3))
    raise JobFailed(f"{index.name} has no term “{text}”. " + (f"Near are {near}." if near else "Nothing is near."))
