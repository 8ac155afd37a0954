"""Answers once: the same question is computed one time, and its answer is given to everybody who asks it.

`likeness` and `questions` say when two jobs ask the same; `flights` and its `scripts` keep answers in Redis and know who
computes and who waits; `handing` gives those who wait their end; `working` is what a worker does; `keeping` counts and
forgets.
"""

from jobroom.cache.identity import Question, keeps_answers, question
from jobroom.cache.similarity import Similar
from jobroom.cache.single_flight import Answer

__all__ = ["Answer", "Question", "Similar", "keeps_answers", "question"]
