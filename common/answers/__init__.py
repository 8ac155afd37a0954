"""Answers once: the same question is computed one time, and its answer is given to everybody who asks it.

`likeness` and `questions` say when two jobs ask the same.
"""

from common.answers.likeness import Similar
from common.answers.questions import Question, keeps_answers, question

__all__ = ["Question", "Similar", "keeps_answers", "question"]
