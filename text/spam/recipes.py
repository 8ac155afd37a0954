"""How a spam detector is made: what it sees of a message, and which classifier judges that.

Two views of a message, both as hashed counts (Weinberger et al. 2009, "Feature Hashing for Large Scale Multitask
Learning") weighted by TF-IDF: words with their neighbours, and pieces of three to five characters within words, which
still match where letters are changed on purpose. Hashing keeps a model at the same small size whatever it learned from.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import Any

DEFAULT = "svm"
# A word, or one of the marks that advertising likes.
WORD = r"(?u)\b\w+\b|[£$€!?]"
WORD_FEATURES = 2**16
PIECE_FEATURES = 2**17
# Seed of every shuffle, so that the same messages make the same model.
SEED = 20
_DIGIT = re.compile(r"\d")


def prepared(texts: Iterable[str]) -> list[str]:
    """Return the messages as a model sees them: look-alike letters made equal, each digit a zero.

    Which digits there are says little, how many stand together says much: telephone numbers, prices, short codes.
    """
    return [_DIGIT.sub("0", unicodedata.normalize("NFKC", text)) for text in texts]


def pipeline(recipe: str = DEFAULT) -> Any:
    """Return an untrained scikit-learn pipeline over prepared messages; raise KeyError for an unknown recipe."""
    from sklearn.pipeline import FeatureUnion, Pipeline

    views = FeatureUnion(
        [
            ("words", _view(WORD_FEATURES, ngram_range=(1, 2), token_pattern=WORD)),
            ("pieces", _view(PIECE_FEATURES, ngram_range=(3, 5), analyzer="char_wb")),
        ]
    )
    return Pipeline([("views", views), ("judge", RECIPES[recipe]())])


def _view(features: int, **options: Any) -> Any:
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
    from sklearn.pipeline import Pipeline

    counts = HashingVectorizer(n_features=features, alternate_sign=False, norm=None, **options)
    return Pipeline([("counts", counts), ("weights", TfidfTransformer(sublinear_tf=True))])


def _svm() -> Any:
    """Return a linear SVM whose distances are turned into probabilities (Platt 1999)."""
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.svm import LinearSVC

    return CalibratedClassifierCV(LinearSVC(class_weight="balanced", random_state=SEED), cv=3, ensemble=False)


def _logistic() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=30, class_weight="balanced", max_iter=1000, random_state=SEED)


def _bayes() -> Any:
    """Return complement naive Bayes (Rennie et al. 2003), made for classes of unequal size."""
    from sklearn.naive_bayes import ComplementNB

    return ComplementNB(alpha=0.1)


RECIPES: dict[str, Callable[[], Any]] = {"svm": _svm, "logistic": _logistic, "bayes": _bayes}
TITLES = {
    "svm": "linear support vector machine, calibrated",
    "logistic": "logistic regression",
    "bayes": "complement naive Bayes",
}
