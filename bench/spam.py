"""How well each recipe distinguishes spam from ham: F1 of spam by a 5-fold cross-validation, and what a call costs.

    python3 bench/spam.py MESSAGES.tsv [--recipes svm,logistic,bayes]

Each fold is held out once, from models that have learned the other four. Repeated messages count once. The last column
keeps near-duplicates together in one fold: no one can learn a message by its copy with another telephone number.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import surroundings
from bench.surroundings import table, verdict

surroundings.setup()

from text import fingerprints, message_files  # noqa: E402
from text.registry import examples_of  # noqa: E402
from text.spam import recipes, serialization, trainer  # noqa: E402
from text.spam.detector import Detector  # noqa: E402
from text.spam.measures import mean, measured  # noqa: E402

BUDGET = 0.95


def grouped(examples, recipe):
    """Return the measures of folds that keep near-duplicates together."""
    import numpy as np
    from sklearn.model_selection import StratifiedGroupKFold

    texts = [example.text for example in examples]
    family = list(range(len(texts)))
    for group in fingerprints.groups(texts, 0.5):
        for place in group.places:
            family[place] = group.places[0]
    truth = np.array([example.is_spam for example in examples])
    parts = StratifiedGroupKFold(trainer.FOLDS, shuffle=True, random_state=recipes.SEED)
    folds = []
    for learn, judge in parts.split(texts, truth, family):
        model = trainer.fitted([examples[place] for place in learn], recipe)
        said = trainer.probabilities(model, [texts[place] for place in judge])
        folds.append(measured([bool(truth[place]) for place in judge], said))
    return folds


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--recipes", default=",".join(recipes.RECIPES))
    options = parser.parse_args()
    messages = message_files.labelled(options.file)
    divided = trainer.divided(examples_of(messages))
    examples = [*divided.learned, *divided.held_out]
    spam = sum(example.is_spam for example in examples)
    print(f"{len(messages):,} messages, {len(examples):,} different ones, {spam:,} of them spam")
    rows = [("recipe", "F1 of spam, 5 folds", "each fold", "budget", "", "held out", "near-duplicates together")]
    for recipe in options.recipes.split(","):
        folds = list(trainer.cross_validated(examples, recipe))
        middle = mean(folds)
        held_out = trainer.judged(trainer.fitted(divided.learned, recipe), divided.held_out)
        rows.append(
            (
                recipe,
                f"{middle['f1']:.4f} ± {middle['f1_spread']:.4f}",
                " ".join(f"{fold.f1:.3f}" for fold in folds),
                f"{BUDGET}",
                verdict(middle["f1"], BUDGET, at_least=True) if recipe == recipes.DEFAULT else "",
                f"{held_out.f1:.4f}",
                f"{mean(grouped(examples, recipe))['f1']:.4f}",
            )
        )
    table("Spam", rows)
    costs(divided)


def costs(divided):
    """Print what training, keeping, loading and asking cost."""
    began = time.perf_counter()
    model = trainer.fitted(divided.learned)
    learned = time.perf_counter() - began
    content = serialization.as_bytes(model)
    began = time.perf_counter()
    detector = Detector(1, serialization.from_bytes(content))
    loaded = time.perf_counter() - began
    times = []
    for example in divided.held_out[:300]:
        began = time.perf_counter()
        detector.detect(example.text)
        times.append((time.perf_counter() - began) * 1000)
    texts = [example.text for example in divided.learned]
    began = time.perf_counter()
    detector.probabilities(texts)
    rate = len(texts) / (time.perf_counter() - began)
    table(
        "The default recipe",
        [
            ("what", "measured"),
            (f"learn {len(texts):,} messages once", f"{learned:.2f} s"),
            ("size of its file", f"{len(content) / 1000:,.0f} kB"),
            ("load it", f"{loaded * 1000:.0f} ms"),
            ("first call; median of 300", f"{times[0]:.1f} ms; {statistics.median(times):.1f} ms"),
            ("messages a second, 500 at once", f"{rate:,.0f}"),
        ],
    )


if __name__ == "__main__":
    main()
