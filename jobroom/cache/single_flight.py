"""Of jobs that compute the same, one runs and the others wait: Python's side of the cache's scripts.

Every function raises `redis.Error` when Redis does not answer.
"""

import dataclasses
import json
import logging
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from kombu.utils.json import dumps, loads

from jobroom import redis
from jobroom.arguments.encryption import opened
from jobroom.cache import scripts
from jobroom.cache.identity import Question
from jobroom.conf import settings
from jobroom.events import attachments

logger = logging.getLogger(__name__)

# How a job deals with cached results: takes one; computes and replaces it; the same, and is given the one that is kept;
# computes and keeps nothing.
Mode = Literal["", "force", "recalculate", "no_cache"]
Entry = dict[str, Any]  # how to give a waiting job its end, or to send it; see `jobroom.cache.handoff`
End = dict[str, Any]  # state, result (JSON text), error, error_type, traceback, answer_of, likeness


@dataclasses.dataclass(frozen=True)
class KeptFile:
    """A file that a job attached."""

    id: str
    name: str

    @property
    def path(self) -> Path:
        """Where its content lies."""
        return attachments.location(uuid.UUID(self.id))


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a job returned, kept for others who ask the same."""

    job: str
    text: str  # the result as JSON
    at: float  # seconds since 1970
    version: str
    files: tuple[KeptFile, ...] = ()
    likeness: float | None = None  # of the question to the one that was answered; None when they are the same

    @property
    def result(self) -> Any:
        """The result, as Celery would give it back."""
        return opened(loads(self.text))

    @property
    def is_whole(self) -> bool:
        """Whether its files are still there."""
        return all(file.path.exists() for file in self.files)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What becomes of a job: it leads (others wait for it), computes alone, waits for another one, has its answer, or is in a flight of before."""

    kind: Literal["lead", "alone", "join", "answer", "elsewhere"]
    leader: str = ""
    answer: Answer | None = None
    new: bool = False  # it leads since this moment
    elsewhere: str = ""  # the question that it asked before its task had another version, and has to leave first


def _run(source: str, *arguments: Any) -> Any:
    return redis.script(source)([redis.key("answers", "")], arguments, client=redis.client())


def _key(kind: str, name: str) -> str:
    return redis.key("answers", kind, name)


def _answer(fields: list[str], asked: Question | None, likeness: float | None = None) -> Answer:
    job, text, at, version, content, files = fields
    if likeness is None and asked is not None and asked.alike is not None and content != asked.content:
        likeness = 1.0
    kept = tuple(KeptFile(**file) for file in json.loads(files or "[]"))
    return Answer(job, text, float(at) / 1000, version, kept, likeness)


def find(asked: Question) -> Answer | None:
    """Return the answer that is kept for the question, or for one that is near enough."""
    fields = _run(scripts.USE, asked.key, "hits")
    if fields:
        answer = _answer(fields, asked)
        if answer.is_whole:
            return answer
        drop(asked.key)
    return near(asked)


def near(asked: Question) -> Answer | None:
    """Return the answer to the most alike question within the threshold, of at most ANSWERS_COMPARED."""
    if asked.alike is None:
        return None
    best, likeness = "", 0.0
    for question, bits in _candidates(asked):
        share = asked.alike.likeness(_bits(bits))
        if share >= asked.alike.threshold and share > likeness:
            best, likeness = question, share
    fields = _run(scripts.USE, best, "near") if best else []
    if not fields:
        return None
    answer = _answer(fields, asked, likeness)
    if answer.is_whole:
        return answer
    drop(best)
    return None


def _candidates(asked: Question) -> list[tuple[str, str]]:
    """Return the newest questions that share a bucket with this one, each with its fingerprint."""
    client = redis.client()
    with client.pipeline(transaction=False) as pipe:
        for bucket in _buckets(asked):
            pipe.zrevrange(_key("band", bucket), 0, settings.ANSWERS_COMPARED - 1, withscores=True)
        found = {question: at for rows in pipe.execute() for question, at in rows}
    questions = sorted(found, key=lambda question: -found[question])[: settings.ANSWERS_COMPARED]
    with client.pipeline(transaction=False) as pipe:
        for question in questions:
            pipe.hget(_key("kept", question), "bits")
        return [(q, bits) for q, bits in zip(questions, pipe.execute(), strict=True) if bits]


def _buckets(asked: Question) -> list[str]:
    return [f"{asked.task}|{asked.group}|{band}" for band in asked.alike.bands()] if asked.alike else []


def _bits(text: str) -> Any:
    value = json.loads(text)
    return tuple(value) if isinstance(value, list) else int(value, 16)


def _bits_text(asked: Question) -> str:
    if asked.alike is None:
        return ""
    bits = asked.alike.bits
    return json.dumps(f"{bits:x}" if isinstance(bits, int) else list(bits))


def earlier(asked: Question) -> Answer | None:
    """Return the latest answer that is kept for the same arguments, whatever the version of the task was."""
    question: Any = redis.client().get(_key("latest", _latest(asked)))
    fields = _run(scripts.USE, question, "") if question else []
    if not fields or fields[0] is None:
        return None
    answer = _answer(fields, asked)
    return answer if answer.is_whole else None


def _latest(asked: Question) -> str:
    return f"{asked.task}|{asked.content}"


def claim(asked: Question, job: str, entry: Entry, mode: Mode = "") -> Verdict:
    """Decide what becomes of a job that asks; doing it twice is the same as once.

    Args:
        asked: what it asks.
        job: its id.
        entry: how it is given its end if it waits, or is sent if it has to compute after all.
        mode: with `force` and `recalculate` no kept answer is taken and no one is waited for.

    """
    while True:
        verdict, *rest = _run(scripts.CLAIM, asked.key, job, dumps(entry), mode, "1" if asked.own else "")
        if verdict == "elsewhere":
            return Verdict(verdict, elsewhere=rest[0])
        if verdict != "answer":
            return Verdict(
                verdict, leader=rest[0] if verdict == "join" else "", new=verdict == "lead" and bool(rest[0])
            )
        answer = _answer(rest, asked)
        if answer.is_whole:
            return Verdict("answer", answer.job, answer)
        drop(asked.key)


def conclude(question: str, job: str, end: End) -> list[Entry]:
    """Note how the leader of a flight ended; return the entries of those who wait for it, for `handing`."""
    return _entries(_run(scripts.CONCLUDE, question, job, json.dumps(end), "", 0, ""))


def keep(asked: Question, job: str, end: End, files: list[dict[str, str]]) -> list[Entry]:
    """Keep the answer in `end` unless it is too large, and do what `conclude` does."""
    text = str(end["result"])
    fits = len(text.encode()) <= settings.ANSWER_LIMIT
    if not fits:
        logger.info(
            "The answer of job %s (%s) is not kept: it has %d bytes, ANSWER_LIMIT is %d",
            job, asked.task, len(text.encode()), settings.ANSWER_LIMIT,
        )  # fmt: skip
    return _entries(
        _run(
            scripts.CONCLUDE,
            *(asked.key, job, json.dumps(end), max(1, int(asked.seconds * 1000)) if fits else ""),
            *(settings.ANSWERS_LIMIT, text, asked.version, asked.content, json.dumps(files)),
            *(_bits_text(asked), asked.alike.exact if asked.alike else "", _latest(asked), *_buckets(asked)),
        )
    )


def done(question: str, job: str, given: list[str]) -> list[Entry]:
    """Strike those who were given their end; return the entries of those who have joined meanwhile."""
    return _entries(_run(scripts.DONE, question, job, *given))


def leave(question: str, job: str) -> tuple[Entry | None, list[str]]:
    """Take a job out of a flight; return the next leader, which must be sent, and who waits for that one now."""
    found = _run(scripts.LEAVE, question, job)
    return (loads(found[0]), found[1:]) if found else (None, [])


def _entries(texts: list[str | None]) -> list[Entry]:
    return [loads(text) for text in texts if text]


def question_of(job: str) -> str | None:
    """Return the question that the job leads or waits for."""
    found: Any = redis.client().get(_key("of", job))
    return found or None


def with_question(jobs: Sequence[str]) -> set[str]:
    """Return those of the jobs that lead or wait for a question."""
    found: Any = redis.client().mget([_key("of", job) for job in jobs]) if jobs else []
    return {job for job, question in zip(jobs, found, strict=True) if question}


def drop(question: str) -> bool:
    """Forget the answer to a question; return whether there was one."""
    return bool(_run(scripts.DROP, question))


@dataclasses.dataclass(frozen=True)
class Flight:
    """A question that is being answered."""

    question: str
    leader: str
    age: float  # seconds since the leader took it
    own: bool
    entry: Entry | None  # of a leader that waited before
    end: End | None  # how the leader ended, when those who wait are being answered


def flights(older_than: float, most: int = 500) -> list[Flight]:
    """Return the questions that are in flight for so many seconds, the oldest first."""
    client = redis.client()
    now = redis.now(client)
    index = redis.key("answers", "flights")
    questions: Any = client.zrangebyscore(index, "-inf", (now - older_than) * 1000, start=0, num=most)
    with client.pipeline(transaction=False) as pipe:
        for question in questions:
            pipe.hgetall(_key("flight", question))
        rows = pipe.execute()
    return [_flight(q, row, now) for q, row in zip(questions, rows, strict=True) if row.get("leader")]


def flight(question: str) -> Flight | None:
    """Return the flight of a question."""
    client = redis.client()
    row: Any = client.hgetall(_key("flight", question))
    return _flight(question, row, redis.now(client)) if row.get("leader") else None


def _flight(question: str, row: dict[str, str], now: float) -> Flight:
    return Flight(
        question,
        row["leader"],
        now - float(row["since"]) / 1000,
        bool(row.get("own")),
        loads(row["entry"]) if row.get("entry") else None,
        json.loads(row["end"]) if row.get("end") else None,
    )


def refresh(question: str) -> None:
    """Let the flight begin now, because its leader was sent again."""
    client = redis.client()
    now = int(redis.now(client) * 1000)
    client.hset(_key("flight", question), "since", str(now))
    client.zadd(redis.key("answers", "flights"), {question: now}, xx=True)
