"""Words as they are compared: without case, accents, punctuation and, on a second level, inflection."""

import dataclasses
import re
import unicodedata

_WORD = re.compile(r"[^\W_]+")
_POSSESSIVE = re.compile("['\u2019]s\\b")
# English and Latin plurals that no rule finds, of what these vocabularies speak about.
_IRREGULAR = {
    "calves": "calf", "halves": "half", "hooves": "hoof", "wolves": "wolf", "lives": "life", "leaves": "leaf",
    "oxen": "ox", "mice": "mouse", "geese": "goose", "teeth": "tooth", "feet": "foot", "children": "child",
    "women": "woman", "men": "man", "testes": "testis", "viscera": "viscus", "genera": "genus", "ova": "ovum",
    "corpora": "corpus", "foetus": "fetus", "foetuses": "fetus", "penes": "penis", "apices": "apex", "cortices": "cortex",
}  # fmt: skip
# Words that end in s and are no plurals.
_SINGULAR_ENDS = ("ss", "us", "is", "as", "os")


@dataclasses.dataclass(frozen=True, slots=True)
class Word:
    """One word of a text: how it is compared, how without inflection, and where it stands (characters)."""

    key: str
    stem: str
    start: int
    end: int


def plain(text: str) -> str:
    """Return the text without case and accents."""
    letters = unicodedata.normalize("NFKD", text).casefold()
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def stem(word: str) -> str:
    """Return a plain word without its plural: muscles → muscle, biopsies → biopsy, vertebrae → vertebra."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) < 4 or not word.isalpha():
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "sses", "xes", "zes")):
        return word[:-2]
    if word.endswith("ae"):
        return word[:-1]
    return word if word.endswith(_SINGULAR_ENDS) or not word.endswith("s") else word[:-1]


def words(text: str) -> list[Word]:
    """Return the words of a text in order; a possessive s is part of its word's place, but not of the word."""
    text = _POSSESSIVE.sub(lambda found: " " * len(found.group()), text)
    found = []
    for match in _WORD.finditer(text):
        key = "".join(_WORD.findall(plain(match.group())))
        if key:
            found.append(Word(key, stem(key), match.start(), match.end()))
    return found


def key(text: str) -> str:
    """Return the text as names are compared: plain words with one space between."""
    return " ".join(word.key for word in words(text))


def stem_key(text: str) -> str:
    """Return the text as names are compared without inflection."""
    return " ".join(word.stem for word in words(text))


def grams(text: str) -> set[str]:
    """Return the groups of three letters of a key, with its ends marked."""
    padded = f" {text} "
    return {padded[at : at + 3] for at in range(len(padded) - 2)}
