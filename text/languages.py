"""In which language a text is written."""

from dataclasses import dataclass
from typing import Any

UNKNOWN = "unknown"
# Fewer letters than this could be anything.
LEAST_LETTERS = 6
# A guess that is less probable than this is none.
LEAST_PROBABILITY = 0.5
# Beginning of a text that is looked at, in characters; more makes no difference to the answer.
LOOKED_AT = 5000


@dataclass(frozen=True)
class Guess:
    """A language by its ISO 639 code and English name, "unknown" for none, and the probability, 0 to 1."""

    language: str
    name: str
    probability: float


def identifier() -> Any:
    """Return the classifier of py3langid, with probabilities that add up to one; loading takes a moment."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def detected(text: str, classifier: Any) -> Guess:
    """Return the most probable language of a text; one that is too short to tell is unknown, with probability 0."""
    beginning = text[:LOOKED_AT]
    if sum(letter.isalpha() for letter in beginning) < LEAST_LETTERS:
        return Guess(UNKNOWN, UNKNOWN, 0.0)
    language, probability = classifier.classify(beginning)
    if probability < LEAST_PROBABILITY:
        return Guess(UNKNOWN, UNKNOWN, round(float(probability), 4))
    return Guess(language, name_of(language), round(float(probability), 4))


def name_of(language: str) -> str:
    """Return the English name of a language, the code where Django knows none."""
    from django.conf.locale import LANG_INFO

    return str(LANG_INFO.get(language, {}).get("name", language))
