"""What pages and API show of an index."""

from typing import Any

from ontology.vocabulary import nearest
from ontology.vocabulary.index import Index, Term

# Children and paths that a page shows; a vocabulary may have terms with thousands.
CHILDREN = 200
PATHS = 10


def search(index: Index, text: str, page: int, size: int) -> dict[str, Any]:
    """Return the terms of one page that a text finds, those with similar names when it finds none, or the roots."""
    found = index.search(text, size + 1, (page - 1) * size)
    rows = [{"term": term, "label": label if label != term.name else ""} for term, label in found[:size]]
    similar = nearest.by_name(index, text, count=5, least=0.4) if text and not found and page == 1 else []
    return {
        "rows": rows,
        "more": len(found) > size,
        "similar": similar,
        "roots": [] if text or page > 1 else index.roots(20),
    }


def describe(index: Index, term_id: str) -> dict[str, Any] | None:
    """Return everything about a term as JSON, None when there is none with this id."""
    term = index.term(term_id)
    if term is None:
        return None
    certain, possible = index.replacements(term)
    relations = ("is_a", "part_of")
    paths, complete = nearest.paths(index, term, relations, PATHS)
    children = index.children(term.row, relations)
    return {
        **term.brief(),
        "definition": term.definition,
        "obsolete": term.obsolete,
        "replaced_by": [_named(index, other) for other in certain],
        "consider": [_named(index, other) for other in possible],
        "alternative_ids": index.alternative_ids(term),
        "synonyms": [{"text": label.text, "scope": label.scope.lower()} for label in index.synonyms(term)],
        "parents": [_related(index.at(row), relation) for row, relation in index.parents(term.row, relations)],
        "children": [_related(index.at(row), relation) for row, relation in children[:CHILDREN]],
        "children_count": len(children),
        "paths": [[_related(step, relation) for step, relation in path] for path in paths],
        "paths_complete": complete,
    }


def _related(term: Term, relation: str) -> dict[str, str]:
    return {**term.brief(), "relation": relation}


def _named(index: Index, term_id: str) -> dict[str, str]:
    found = index.term(term_id)
    return found.brief() if found else {"id": term_id, "name": ""}
