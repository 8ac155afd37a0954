"""Reading ontologies, and what their index answers."""

import os
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ontology.tests.conftest import TINY, built
from ontology.vocabulary import annotator, formats, nearest, parser, words
from ontology.vocabulary.formats import VocabularyProblem
from ontology.vocabulary.index import Index, IndexUnusable

OWL = """<?xml version="1.0"?>
<!DOCTYPE rdf:RDF [ <!ENTITY obo "http://purl.obolibrary.org/obo/" > ]>
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:owl="http://www.w3.org/2002/07/owl#"
    xmlns:rdfs="http://www.w3.org/2000/01/rdf-schema#" xmlns:oboInOwl="http://www.geneontology.org/formats/oboInOwl#"
    xmlns:obo="http://purl.obolibrary.org/obo/">
<owl:Ontology rdf:about="http://purl.obolibrary.org/obo/tiny.owl">
  <owl:imports rdf:resource="http://127.0.0.1:9/never-fetched.owl"/>
</owl:Ontology>
<owl:ObjectProperty rdf:about="&obo;BFO_0000050"><rdfs:label>part of</rdfs:label></owl:ObjectProperty>
<owl:Class rdf:about="&obo;UBERON_1"><rdfs:label>organ</rdfs:label></owl:Class>
<owl:Class rdf:about="&obo;UBERON_2"><rdfs:label xml:lang="en">liver</rdfs:label>
  <rdfs:subClassOf rdf:resource="&obo;UBERON_1"/><rdfs:subClassOf rdf:resource="&obo;UBERON_99"/>
  <rdfs:subClassOf><owl:Restriction><owl:onProperty rdf:resource="&obo;BFO_0000050"/>
    <owl:someValuesFrom rdf:resource="&obo;UBERON_1"/></owl:Restriction></rdfs:subClassOf>
  <oboInOwl:hasExactSynonym>hepar</oboInOwl:hasExactSynonym></owl:Class>
<owl:Class rdf:about="&obo;UBERON_4"><rdfs:label>iecur</rdfs:label>
  <owl:deprecated rdf:datatype="http://www.w3.org/2001/XMLSchema#boolean">true</owl:deprecated>
  <obo:IAO_0100001 rdf:resource="&obo;UBERON_2"/></owl:Class>
</rdf:RDF>
"""


def matches(index, text):
    return [(m.text, m.best and m.best.term.id) for m in annotator.annotate(index, text)]


def read(tmp_path, text, suffix="obo"):
    path = tmp_path / f"x.{suffix}"
    path.write_text(text)
    return parser.read(path, suffix)


# Files ---------------------------------------------------------------------------------------------------------------


def test_obo_is_read_without_what_it_imports(tmp_path):
    terms, meta = read(tmp_path, TINY)
    liver = next(term for term in terms if term.id == "X:2")
    assert (liver.name, liver.definition) == ("liver", "The large one on the right.")
    assert liver.synonyms == [("hepar", "EXACT"), ("hepatic tissue", "RELATED")]
    assert liver.parents == [("X:1", "is_a"), ("X:5", "part_of")]
    assert liver.alternative_ids == ["X:20"]
    assert (meta["ontology"], meta["data_version"], meta["outside"]) == ("tiny", "2026-01-31", 1)
    assert meta["imports"] == ["http://127.0.0.1:9/never-fetched.obo"]


def test_owl_is_read_with_compact_ids_parts_and_replacements(tmp_path):
    terms, meta = read(tmp_path, OWL, "owl")
    by_id = {term.id: term for term in terms}
    assert by_id["UBERON:2"].parents == [("UBERON:1", "is_a"), ("UBERON:1", "part_of")]
    assert by_id["UBERON:2"].synonyms == [("hepar", "EXACT")]
    assert (by_id["UBERON:4"].obsolete, by_id["UBERON:4"].replaced_by) == (True, ["UBERON:2"])
    assert meta["outside"] == 1


def test_an_ontology_without_terms_is_refused(tmp_path):
    with pytest.raises(VocabularyProblem, match="no terms"):
        read(tmp_path, "format-version: 1.2\nontology: x\n")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"hello", "is neither OBO"),
        (b"\x1f\x8b\x08rest", "is compressed"),
        (b'<?xml version="1.0"?>\n<Ontology xmlns="x">', "is OWL in OWL/XML"),
        (b"@prefix owl: <x> .", "is Turtle"),
        (b'{"graphs": []}', "is OBO Graphs JSON"),
        (b"<html></html>", "is neither OBO"),
    ],
)
def test_what_is_no_ontology_is_refused_with_what_it_is(tmp_path, content, reason):
    path = tmp_path / "x.obo"
    path.write_bytes(content)
    with path.open("rb") as file, pytest.raises(VocabularyProblem, match=reason):
        formats.check(file, "x.obo")


def xml(tmp_path, text):
    path = tmp_path / "x.owl"
    path.write_text(text)
    return path


def test_xml_that_grows_when_it_is_read_is_refused(tmp_path):
    laughs = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<!DOCTYPE r [<!ENTITY a0 "ha">{laughs}]><rdf:RDF xmlns:rdf="x">&a9;</rdf:RDF>'
    with pytest.raises(VocabularyProblem, match="“a1” is made of others"):
        formats.check_xml(xml(tmp_path, bomb))
    long = f'<!DOCTYPE r [<!ENTITY a "{"x" * 100_000}">]><r>{"&a;" * 1000}</r>'
    with pytest.raises(VocabularyProblem, match="very long"):
        formats.check_xml(xml(tmp_path, long))


def test_xml_that_reads_other_files_is_refused(tmp_path):
    with pytest.raises(VocabularyProblem, match="“a” refers to another file"):
        formats.check_xml(xml(tmp_path, '<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/passwd">]><r>&a;</r>'))


def test_xml_nested_without_end_and_damaged_xml_are_refused(tmp_path):
    with pytest.raises(VocabularyProblem, match="deeper than 200"):
        formats.check_xml(xml(tmp_path, "<r>" * 100_000))
    with pytest.raises(VocabularyProblem, match="damaged in line 2: mismatched tag"):
        formats.check_xml(xml(tmp_path, "<r>\n<a></b></r>"))


def test_damaged_obo_is_reported_with_its_line(tmp_path):
    with pytest.raises(VocabularyProblem, match="damaged in line 5"):
        read(tmp_path, "format-version: 1.2\n\n[Term]\nid: X:1\nname\nis_a:: x\n")


def test_a_circle_of_parents_is_no_trouble(tmp_path):
    text = "format-version: 1.2\n\n" + "\n".join(
        f"[Term]\nid: X:{n}\nname: t{n}\nis_a: X:{(n + 1) % 3}\n" for n in range(3)
    )
    (tmp_path / "c.obo").write_text(text)
    with built(tmp_path / "c.obo", tmp_path / "c.index", "c") as index:
        assert nearest.paths(index, index.term("X:0")) == ([], True)
        assert {n.term.id for n in nearest.by_graph(index, index.term("X:0"))} == {"X:1", "X:2"}


# The index -----------------------------------------------------------------------------------------------------------


def test_terms_are_found_by_their_ids(index):
    assert index.term("X:20").id == index.term("X:2").id == "X:2"
    assert index.term("X:99") is None
    assert index.alternative_ids(index.term("X:2")) == ["X:20"]


def test_an_obsolete_term_leads_to_its_only_replacement(index):
    assert index.current(index.term("X:4")).id == "X:2"
    assert index.current(index.term("X:6")) is None


def test_search_finds_names_before_synonyms_and_words_within(index):
    assert [(t.id, label) for t, label in index.search("he", 10)] == [("X:2", "hepar")]
    assert [t.id for t, _ in index.search("tissue", 10)] == ["X:2"]
    assert [t.id for t, _ in index.search("x:20", 10)] == []
    assert [t.id for t, _ in index.search("X:20", 10)] == ["X:2"]
    assert [t.name for t, _ in index.search("", 3)] == ["body", "kidney", "liver"]
    assert [t.name for t, _ in index.search("", 3, 3)] == ["organ", "gut feeling", "iecur"]


def test_roots_with_children_come_first(index):
    assert [root.name for root in index.roots()] == ["body", "organ"]


def test_a_file_that_is_no_index_is_said_to_be_none(tmp_path):
    path = tmp_path / "x.index"
    path.write_bytes(b"nonsense" * 1000)
    with pytest.raises(IndexUnusable, match="Load it again"):
        Index(path, "x")


def test_threads_and_a_forked_process_read_the_same_index(index):
    found = []
    threads = [threading.Thread(target=lambda: found.append(index.term("X:2").name)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["liver"] * 8
    child = os.fork()
    if not child:
        os._exit(0 if index.term("X:3").name == "kidney" else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert index.term("X:2").name == "liver"


# Words ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Muscles", "muscle"), ("biopsies", "biopsy"), ("vertebrae", "vertebra"), ("calves", "calf"), ("oxen", "ox"),
        ("branches", "branch"), ("Montbéliarde", "montbeliarde"), ("cow's milk", "cow milk"), ("Holstein-Friesian", "holstein friesian"),
    ],
)  # fmt: skip
def test_inflection_case_and_accents_do_not_count(one, other):
    assert words.stem_key(one) == words.stem_key(other)


@pytest.mark.parametrize("word", ["pancreas", "testis", "uterus", "bos", "gas", "abscess", "ars"])
def test_words_that_only_end_like_plurals_stay(word):
    assert words.stem_key(word) == word or word == "ars"


@given(st.text(max_size=200))
def test_any_text_has_words_at_their_places(text):
    for word in words.words(text):
        assert 0 <= word.start < word.end <= len(text)
        assert word.key == words.key(text[word.start : word.end])


# Texts ---------------------------------------------------------------------------------------------------------------


def test_the_longest_name_counts_and_places_are_exact(shipped):
    text = "Skeletal muscle tissue and the bone marrow of two Livers, cow's milk."
    found = annotator.annotate(shipped["organism_part"], text)
    assert [(m.text, m.best.term.name) for m in found] == [
        ("Skeletal muscle tissue", "skeletal muscle tissue"),
        ("bone marrow", "bone marrow"),
        ("Livers", "liver"),
        ("milk", "milk"),
    ]
    assert all(text[m.start : m.end] == m.text for m in found)
    assert [m.best.how for m in found] == ["name", "name", "name, inflected", "name"]
    assert found[0].best.confidence > found[2].best.confidence


def test_a_name_does_not_go_on_over_a_comma(index):
    assert matches(index, "gut, feeling; hepatic. Tissue") == []
    assert matches(index, "hepatic tissue") == [("hepatic tissue", "X:2")]


def test_ids_in_a_text_are_terms(index):
    assert matches(index, "taken from X:3, not X:99 (and X:20)") == [("X:3", "X:3"), ("X:20", "X:2")]


def test_of_an_obsolete_term_its_replacement_is_given(index):
    (match,) = annotator.annotate(index, "Iecur")
    assert (match.best.term.id, match.best.replaces.id) == ("X:2", "X:4")
    described = match.described("tiny")
    assert described["term"]["replaces"] == {"id": "X:4", "name": "iecur"}
    (other,) = annotator.annotate(index, "a gut feeling")
    assert (other.best.term.obsolete, other.best.confidence) == (True, 0.5)


def test_words_with_several_meanings_are_ambiguous(shipped):
    (match,) = annotator.annotate(shipped["breed"], "a Maltese")
    assert match.best is None
    described = match.described("breed")
    assert described["term"] is None
    assert {c["name"] for c in described["candidates"]} == {"Maltese", "Maltese Terrier"}
    (quail,) = annotator.annotate(shipped["species"], "a duck")
    assert {c.term.name for c in quail.candidates} == {"Anas platyrhynchos", "Cairina moschata"}


def test_short_and_common_words_are_no_names(tmp_path):
    text = 'format-version: 1.2\n\n[Term]\nid: X:1\nname: AN\n\n[Term]\nid: X:2\nname: x\nsynonym: "for" EXACT []\n'
    (tmp_path / "s.obo").write_text(text)
    with built(tmp_path / "s.obo", tmp_path / "s.index", "s") as index:
        assert matches(index, "an apple for AN x") == [("AN", "X:1"), ("x", "X:2")]


def test_a_value_means_a_term_as_a_whole(shipped):
    breed = shipped["breed"]
    (holstein,) = annotator.meanings(breed, "  HOLSTEINS ")
    assert (holstein.term.name, holstein.how) == ("Holstein Friesian", "exact synonym, inflected")
    assert annotator.meanings(breed, "Holstein cow") == []
    assert annotator.meanings(breed, "") == []
    assert annotator.meanings(breed, "LOCALBREED:0101")[0].how == "id"


@given(text=st.text(max_size=60))
def test_no_text_breaks_the_search(shipped, text):
    index = shipped["breed"]
    for match in annotator.annotate(index, text):
        assert text[match.start : match.end] == match.text
    annotator.meanings(index, text)
    nearest.by_name(index, text)
    index.search(text, 5)


def test_a_long_text_is_annotated_in_seconds(shipped):
    text = "The liver of a Holstein cow was kept beside skeletal muscle, spleen and lungs. " * 1000
    began = time.thread_time()
    found = annotator.annotate(shipped["organism_part"], text)
    assert len(found) == 4000
    assert time.thread_time() - began < 30


# Near ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "two", "distance"),
    [("", "", 0), ("abc", "", 3), ("liver", "lvier", 1), ("kitten", "sitting", 3), ("ca", "abc", 3)],
)
def test_the_edit_distance(one, two, distance):
    assert nearest.edit_distance(one, two) == nearest.edit_distance(two, one) == distance


def test_a_misspelt_name_is_found_with_a_score(shipped):
    first, *_ = nearest.by_name(shipped["breed"], "Holstien Freisian")
    assert (first.term.name, first.distance) == ("Holstein Friesian", 2)
    assert first.score == pytest.approx(0.88, abs=0.01)
    assert nearest.by_name(shipped["breed"], "Friesian, Holstein")[0].score == 1.0
    assert nearest.by_name(shipped["breed"], "qqqqqq") == []


def test_neighbours_in_the_graph_come_with_their_steps(index):
    found = [(n.term.name, n.distance, n.up, n.down) for n in nearest.by_graph(index, index.term("X:2"))]
    assert found == [("organ", 1, 1, 0), ("kidney", 2, 1, 1)]
    with_parts = nearest.by_graph(index, index.term("X:2"), relations=("is_a", "part_of"))
    assert [n.term.name for n in with_parts] == ["body", "organ", "kidney"]
    assert len(nearest.by_graph(index, index.term("X:1"), count=1)) == 1
    assert {n.term.name for n in nearest.by_graph(index, index.term("X:1"), most=1)} == {"kidney", "liver"}


def test_every_path_to_a_root_is_named(index, shipped):
    paths, complete = nearest.paths(index, index.term("X:2"), ("is_a", "part_of"))
    named = [[(term.name, relation) for term, relation in path] for path in paths]
    assert named == [[("liver", ""), ("body", "part_of")], [("liver", ""), ("organ", "is_a")]]
    assert complete
    cattle = shipped["species"].term("NCBITaxon:9913")
    ((path,), _) = nearest.paths(shipped["species"], cattle)
    assert [term.name for term, _ in path] == [
        "Bos taurus", "Bos", "Bovidae", "Artiodactyla", "Mammalia", "Vertebrata", "Metazoa",
    ]  # fmt: skip


def test_a_lattice_of_paths_ends(tmp_path):
    levels = "".join(
        f"[Term]\nid: L:{level}{side}\nname: l{level}{side}\n"
        + "".join(f"is_a: L:{level - 1}{other}\n" for other in "ab" if level)
        + "\n"
        for level in range(25)
        for side in "ab"
    )
    (tmp_path / "l.obo").write_text("format-version: 1.2\n\n" + levels)
    with built(tmp_path / "l.obo", tmp_path / "l.index", "l") as index:
        paths, complete = nearest.paths(index, index.term("L:24a"))
        assert not complete
        assert len(paths) <= 20


# What comes with the project -----------------------------------------------------------------------------------------


def test_the_shipped_vocabularies_are_whole(shipped):
    assert {name: index.meta["terms"] > 40 for name, index in shipped.items()} == dict.fromkeys(
        ["breed", "organism_part", "species"], True
    )
    for index in shipped.values():
        assert index.meta["outside"] == 0
        for term, _ in index.search("", 1000):
            assert term.obsolete or nearest.paths(index, term)[0], term
            assert not term.obsolete or index.current(term), term
