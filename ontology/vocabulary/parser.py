"""Reads OBO and OWL with pronto; the only place that knows it. Runs in the child process alone."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from pronto.ontology import Ontology
from pronto.parsers.base import BaseParser
from pronto.term import Term

from ontology.vocabulary import formats
from ontology.vocabulary.builder import SCOPES, SourceTerm
from ontology.vocabulary.formats import VocabularyProblem

# Longest definition that is kept, in characters.
_DEFINITION = 4000
_PART_OF = {"part_of", "BFO:0000050"}


class _LinkedHere:
    """Links terms to the parents in the same file, and counts those outside.

    Imports are never fetched, and pronto fails at a parent that would be there.
    """

    def __init__(self) -> None:
        self.outside = 0
        self._original: Callable[[Any], None] = BaseParser.symmetrize_lineage

    def __enter__(self) -> "_LinkedHere":
        counter = self

        def symmetrize_lineage(parser: Any) -> None:
            for kind in parser._entities.values():
                entities, graph = kind(parser.ont)
                known = {entity.id for entity in entities()}
                for lineage in graph.lineage.values():
                    counter.outside += len(lineage.sup - known)
                    lineage.sup.intersection_update(known)
            counter._original(parser)

        BaseParser.symmetrize_lineage = symmetrize_lineage  # type: ignore[method-assign]
        return self

    def __exit__(self, *error: object) -> None:
        BaseParser.symmetrize_lineage = self._original  # type: ignore[method-assign]


def read(path: Path, file_type: str) -> tuple[list[SourceTerm], dict[str, Any]]:
    """Return the terms of a file, and what it says of itself; raise VocabularyProblem when it cannot be read.

    Nothing but the file is opened: what it imports stays out.
    """
    if file_type == "owl":
        formats.check_xml(path)
    with _LinkedHere() as linked:
        ontology = _parsed(path)
    terms = [_term(term) for term in ontology.terms()]
    if not terms:
        raise VocabularyProblem("The file has no terms.")
    about = ontology.metadata
    meta = {
        "ontology": about.ontology or "",
        "data_version": about.data_version or "",
        "outside": linked.outside,
        "imports": sorted(about.imports),
    }
    return sorted(terms, key=lambda term: term.id), meta


def _parsed(path: Path) -> Ontology:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about details that we do not use
        try:
            return Ontology(str(path), import_depth=0, threads=1, encoding="utf-8")
        except MemoryError:
            raise
        except SyntaxError as error:
            line = f" in line {error.lineno}" if error.lineno else ""
            raise VocabularyProblem(f"The file is damaged{line}: {error.msg or error}. Export it again.") from error
        except (ValueError, KeyError, TypeError, AttributeError, OSError, RecursionError) as error:
            reason = str(error) or type(error).__name__
            raise VocabularyProblem(f"The file cannot be read as an ontology: {reason[:300]}.") from error


def _term(term: Term) -> SourceTerm:
    data = cast("Any", term)._data()  # ids as they are written: the public sets resolve each, and stop at unknown ones
    parents = [(parent, "is_a") for parent in sorted(term.superclasses(1, with_self=False).to_set().ids)]
    for relation, others in data.relationships.items():
        if relation in _PART_OF:
            parents += [(other, "part_of") for other in sorted(others)]
    return SourceTerm(
        id=term.id,
        name=term.name or term.id,
        definition=str(term.definition or "")[:_DEFINITION],
        synonyms=sorted((synonym.description, _scope(synonym.scope)) for synonym in term.synonyms),
        alternative_ids=sorted(term.alternate_ids),
        parents=parents,
        obsolete=term.obsolete,
        replaced_by=sorted(data.replaced_by),
        consider=sorted(data.consider),
    )


def _scope(scope: str | None) -> str:
    return scope if scope in SCOPES else "RELATED"
