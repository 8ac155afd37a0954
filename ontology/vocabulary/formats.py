"""Recognises ontology files by what is in them, and refuses XML that would do harm, before anything parses them."""

import re
import xml.parsers.expat
from pathlib import Path
from typing import Any, BinaryIO

from jobroom.sandbox.child import FileProblem

FORMATS = {"obo": "OBO", "owl": "OWL (RDF/XML)"}
_HEAD = 65536
# Real ontologies declare some dozens of short entities and nest a dozen elements.
_MOST_ENTITIES, _LONGEST_ENTITY, _DEEPEST = 1000, 2000, 200
_OTHERS = (
    (rb"^(\x1f\x8b|BZh|\xfd7zXZ|PK\x03\x04)", "is compressed. Unpack it first."),
    (rb"<Ontology[\s>]", "is OWL in OWL/XML. Save it as RDF/XML or OBO, for example with ROBOT or Protégé."),
    (rb"(?m)^\s*(@prefix|PREFIX) ", "is Turtle. Save it as RDF/XML or OBO, for example with ROBOT or Protégé."),
    (rb"(?m)^\s*(Prefix\(|Ontology\(|Prefix: |Ontology: )", "is OWL in text syntax. Save it as RDF/XML or OBO."),
    (rb'^\s*\{\s*"(graphs|meta|id)"', "is OBO Graphs JSON. Save it as OBO or RDF/XML."),
)


class VocabularyProblem(FileProblem):
    """The file is no vocabulary that we can read; the message says what is wrong and what to do."""


def check(file: BinaryIO, name: str) -> str:
    """Return the format of a file by how it begins, a key of FORMATS; raise VocabularyProblem when it is none."""
    file.seek(0)
    head = file.read(_HEAD).removeprefix(b"\xef\xbb\xbf").lstrip()
    file.seek(0)
    if not head:
        raise VocabularyProblem(f"{name} is empty.")
    if head.startswith((b"format-version:", b"[Term]", b"[Typedef]")):
        return "obo"
    if head.startswith(b"<") and re.search(rb"<rdf:RDF[\s>]|<owl:Ontology[\s>]", head):
        return "owl"
    for pattern, what in _OTHERS:
        if re.search(pattern, head):
            raise VocabularyProblem(f"{name} {what}")
    raise VocabularyProblem(
        f"{name} is neither OBO (which begins with “format-version:”) nor OWL in RDF/XML (with an element rdf:RDF)."
    )


def check_xml(path: Path) -> None:
    """Raise VocabularyProblem for XML that is not well-formed, or made to fill the memory or to read other files."""
    parser = xml.parsers.expat.ParserCreate()
    guard = _Guard()
    parser.StartElementHandler = guard.start
    parser.EndElementHandler = guard.end
    parser.EntityDeclHandler = guard.entity
    try:
        with path.open("rb") as file:
            parser.ParseFile(file)
    except xml.parsers.expat.ExpatError as error:
        reason = xml.parsers.expat.ErrorString(error.code)
        raise VocabularyProblem(f"The XML is damaged in line {error.lineno}: {reason}. Export it again.") from error


class _Guard:
    def __init__(self) -> None:
        self.depth = 0
        self.entities = 0

    def start(self, *args: Any) -> None:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise VocabularyProblem(f"The XML is nested deeper than {_DEEPEST} elements: this is no ontology.")

    def end(self, *args: Any) -> None:
        self.depth -= 1

    def entity(
        self, name: str, is_parameter: int, value: str | None, base: Any, system: Any, public: Any, notation: Any
    ) -> None:
        """Let an abbreviation through; neither what refers to other files, nor what grows when it is read."""
        self.entities += 1
        if value is None or system or public:
            raise VocabularyProblem(f"The XML entity “{name}” refers to another file. Export it without.")
        if "&" in value or "%" in value or len(value) > _LONGEST_ENTITY or self.entities > _MOST_ENTITIES:
            raise VocabularyProblem(f"The XML entity “{name}” is made of others or very long. Export it without.")
