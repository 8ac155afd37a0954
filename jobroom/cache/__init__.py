"""The cache of results: the same task with the same arguments is computed once, and everyone gets that result.

`similarity` and `identity` say when two jobs ask the same; `single_flight` and its `scripts` keep answers in Redis and know
which job computes and which wait; `handoff` gives those that wait their result; `worker` is what a worker does;
`maintenance` counts and deletes.
"""

from jobroom.cache.identity import Question, keeps_answers, question
from jobroom.cache.similarity import Similar
from jobroom.cache.single_flight import Answer

__all__ = ["Answer", "Question", "Similar", "keeps_answers", "question"]
