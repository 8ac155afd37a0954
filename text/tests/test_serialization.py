"""Models as bytes: what is read back, and what is refused."""

import io
import pickle
import zipfile

import pytest

from text.exceptions import ModelRefused
from text.spam import serialization, trainer
from text.tests.conftest import lines
from text.tests.test_trainer import examples


@pytest.fixture
def skops_io():
    """Return the module; to import it costs seconds, and every process of a run collects this file."""
    from skops import io as found

    return found


class Evil:
    """What pickle would run."""

    def __reduce__(self):
        return (print, ("ran",))


def test_a_model_comes_back_as_it_was():
    divided = trainer.divided(examples(lines(30)))
    model = trainer.fitted(divided.learned)
    content = serialization.as_bytes(model)
    assert len(content) < 2_000_000
    texts = [example.text for example in divided.held_out]
    assert trainer.probabilities(serialization.from_bytes(content), texts) == trainer.probabilities(model, texts)


def test_only_the_listed_types_are_not_of_skops_own_list(small_model, skops_io):
    content = serialization.as_bytes(trainer.fitted(small_model.examples.learned))
    assert set(skops_io.get_untrusted_types(data=content)) == set(serialization.TRUSTED)


def test_a_pickle_is_refused_and_not_run(capsys):
    with pytest.raises(ModelRefused, match="damaged: BadZipFile"):
        serialization.from_bytes(pickle.dumps(Evil()))
    assert "ran" not in capsys.readouterr().out


def test_a_type_that_no_one_trusts_is_refused(skops_io):
    with pytest.raises(ModelRefused, match=r"types that are not trusted: .*Evil"):
        serialization.from_bytes(skops_io.dumps(Evil2()))


class Evil2:
    """An object of ours."""

    def __init__(self):
        self.value = 1


def test_something_else_than_a_pipeline_is_refused(skops_io):
    from sklearn.linear_model import LogisticRegression

    with pytest.raises(ModelRefused, match="a LogisticRegression, not a pipeline"):
        serialization.from_bytes(skops_io.dumps(LogisticRegression()))


def test_a_cut_file_is_refused(small_model):
    content = serialization.as_bytes(small_model.model)
    for length in (0, 10, len(content) // 2, len(content) - 1):
        with pytest.raises(ModelRefused, match="damaged"):
            serialization.from_bytes(content[:length])


def test_a_bomb_is_refused_before_it_is_unpacked(monkeypatch):
    monkeypatch.setattr(serialization, "LARGEST", 1000)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("schema.json", b"0" * 10_000)
    with pytest.raises(ModelRefused, match="unpacks to more"):
        serialization.from_bytes(out.getvalue())
