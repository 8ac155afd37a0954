"""Claims, waiting, handing on and forgetting of answers, against a real Redis."""

import json

import pytest

from jobroom import events, redis
from jobroom.cache import Question, Similar, handoff, maintenance, single_flight
from jobroom.tasks import JobFailed
from jobroom.testing.tasks import made_task


@pytest.fixture(autouse=True)
def clean():
    redis.client().flushdb()


def nothing(): ...


def asking(key="q", task="t", seconds=60.0, **more):
    return Question(task, f"{task}|{key}", more.pop("content", key), "1", seconds, False, **more)


def entry(job, **more):
    return {"job": job, "task": "t", "args": [], "kwargs": {}, "options": {}, "source": None, "plain": True, **more}


def claim(job, asked=None, mode=""):
    verdict = handoff.claim(asked or asking(), job, entry(job), mode)
    return verdict.answer or (f"{verdict.kind} {verdict.leader}".strip())


def keep(job, result, asked=None, files=()):
    end = {"state": "succeeded", "result": json.dumps(result), "answer_of": job}
    return [one["job"] for one in single_flight.keep(asked or asking(), job, end, list(files))]


def left():
    """Return the keys of flights and waiting jobs."""
    return [
        k
        for k in redis.client().scan_iter("image:answers:*")
        if any(w in k for w in ("flight", "line", "waiting", ":of:"))
    ]


def reported(job):
    rows = redis.client().xrange(events.stream())
    return [e for e in (json.loads(fields["e"]) for _, fields in rows) if e["job"] == job]


# Claims


def test_the_first_leads_the_others_wait_and_get_its_answer():
    assert [claim("a"), claim("b"), claim("c")] == ["lead", "join a", "join a"]
    assert [claim("a"), claim("b")] == ["lead", "join a"], "twice is the same as once"
    assert keep("a", {"spam": True}) == ["b", "c"]
    assert single_flight.done(asking().key, "a", ["b", "c"]) == []
    answer = claim("d")
    assert (answer.job, answer.result, answer.likeness) == ("a", {"spam": True}, None)
    assert claim("b").job == "a", "its message is delivered once more"
    assert left() == []


def test_who_joins_while_answers_are_given_gets_one_too():
    claim("a")
    claim("b")
    assert [e["job"] for e in single_flight.conclude(asking().key, "a", {"state": "failed"})] == ["b"]
    assert claim("late") == "join a"
    assert [e["job"] for e in single_flight.done(asking().key, "a", ["b"])] == ["late"]
    assert single_flight.done(asking().key, "a", ["late"]) == []
    assert left() == []
    assert claim("next") == "lead", "a failure is not kept"


def test_only_the_leader_hands_on():
    claim("a")
    claim("b")
    assert keep("stranger", 1) == []
    assert single_flight.done(asking().key, "stranger", ["b"]) == []
    assert keep("a", 2) == ["b"]


def test_force_takes_no_answer_and_waits_for_no_one():
    claim("a")
    assert claim("forced", mode="force") == "alone"
    keep("a", 1)
    assert claim("b").result == 1
    assert claim("forced", mode="force") == "lead"
    assert claim("c").result == 1, "the kept answer holds until there is another"
    keep("forced", 2)
    assert claim("d").result == 2


def test_the_next_computes_when_the_leader_leaves():
    for job in "abcd":
        claim(job)
    chosen, others = single_flight.leave(asking().key, "a")
    assert (chosen["job"], others) == ("b", ["c", "d"])
    assert single_flight.leave(asking().key, "a") == (None, []), "twice is the same as once"
    assert [claim("b"), claim("c")] == ["lead", "join b"]
    assert keep("b", 1) == ["c", "d"]


def test_who_is_cancelled_waits_for_nothing():
    for job in "abcd":
        claim(job)
    redis.client().set(events.cancel_key("b"), "{}")
    assert single_flight.leave(asking().key, "a")[0]["job"] == "c"
    redis.client().set(events.cancel_key("d"), "{}")
    assert keep("c", 1) == []
    assert left() == []


def test_the_last_one_leaves_nothing_behind():
    claim("a")
    claim("b")
    single_flight.leave(asking().key, "b")
    assert single_flight.leave(asking().key, "a") == (None, [])
    assert left() == []


def test_a_job_whose_task_has_a_new_version_leaves_its_old_question():
    old, new = asking("old"), asking("new")
    with made_task(nothing, name="t"):
        assert [claim("a", old), claim("b", old)] == ["lead", "join a"]
        assert claim("a", new) == "lead"
        assert claim("b", old) == "lead", "it computes what no one else does any more"
        assert claim("b", new) == "join a"
    assert redis.client().llen("default") == 1, "and was sent to do it"


# Keeping


def test_answers_end_with_their_time_and_bounds(settings, caplog):
    settings.JOBROOM = settings.JOBROOM | {"ANSWER_LIMIT": 1000}
    claim("a")
    claim("b")
    with caplog.at_level("INFO"):
        assert keep("a", "x" * 2000) == ["b"], "who waits gets it"
    assert "ANSWER_LIMIT is 1000" in caplog.text
    single_flight.done(asking().key, "a", ["b"])
    assert claim("c") == "lead"
    settings.JOBROOM = settings.JOBROOM | {"ANSWERS_LIMIT": 10_000}
    for number in range(20):
        keep(f"j{number}", "x" * 900, asking(f"k{number}"))
        single_flight.find(asking("k0"))
    tally = maintenance.tally("t")
    assert tally.bytes <= 10_000
    assert 3 < tally.kept < 10
    assert single_flight.find(asking("k0")).job == "j0", "what is used stays"
    assert single_flight.find(asking("k1")) is None
    assert tally.refused == 1


def test_order_of_use_and_of_waiting_survives_a_clock_that_is_set_back(settings):
    settings.JOBROOM = settings.JOBROOM | {"ANSWERS_LIMIT": 5_000}
    used, hour = "image:answers:used", 3_600_000
    for number in range(3):
        keep(f"j{number}", "x" * 900, asking(f"k{number}"))
    for question, at in redis.client().zrange(used, 0, -1, withscores=True):
        redis.client().zadd(used, {question: at + hour})
    assert single_flight.find(asking("k0")).job == "j0"
    keep("j3", "x" * 900, asking("k3"))
    assert single_flight.find(asking("k1")) is None, "it was used least"
    assert single_flight.find(asking("k0")).job == "j0", "what is used stays"
    assert [claim(job) for job in ("d", "c", "b", "a")] == ["lead", "join d", "join d", "join d"]
    redis.client().zadd("image:answers:line:t|q", {"c": 4 * 10**12, "b": 5 * 10**12, "a": 6 * 10**12})
    assert [claim(job) for job in ("c", "Z")] == ["join d", "join d"]
    assert keep("d", 1) == ["c", "b", "a", "Z"], "in the order in which they came"


def test_an_answer_expires_and_is_counted_no_more():
    keep("a", 1, asking(seconds=0.001))
    keep("b", 2, asking("other"))
    redis.client().delete("image:answers:kept:t|q")  # as Redis does when its time is over
    redis.client().zadd("image:answers:due", {"t|q": 1})
    assert single_flight.find(asking()) is None
    assert (maintenance.tally("t").kept, maintenance.tally("t").computed) == (1, 2)


def test_purge_forgets_by_task_and_by_age():
    keep("a", 1, asking("1", "t"))
    keep("b", 2, asking("2", "t"))
    keep("c", 3, asking("3", "with spaces | and bars"))
    redis.client().hset("image:answers:kept:t|1", "at", "1000")
    assert maintenance.purge(older_than=3600) == 1
    assert single_flight.find(asking("1", "t")) is None
    assert maintenance.purge(task="t") == 1
    assert [tally.kept for tally in maintenance.tallies()] == [0, 1]
    assert maintenance.purge() == 1
    assert sum(tally.bytes for tally in maintenance.tallies()) == 0
    assert redis.client().hget("image:answers:tally", "bytes|") == "0"


def test_many_are_forgotten_in_steps():
    for number in range(30):
        keep(f"j{number}", 1, asking(f"k{number}"))
    assert maintenance.purge(step=7) == 30


def test_counts_say_how_many_jobs_were_saved():
    claim("a")
    claim("b")
    keep("a", 1)
    single_flight.done(asking().key, "a", ["b"])
    claim("c")
    tally = maintenance.tally("t")
    assert (tally.computed, tally.hits, tally.joined, tally.saved, tally.kept, tally.flying) == (1, 1, 1, 2, 1, 0)
    assert tally.share == pytest.approx(2 / 3)


def test_an_answer_without_its_files_is_none(tmp_path, settings):
    settings.MEDIA_ROOT = tmp_path
    file = {"id": "0123456789abcdef0123456789abcdef", "name": "table.csv"}
    path = tmp_path / "01" / file["id"]
    path.parent.mkdir()
    path.write_text("1,2")
    keep("a", 1, files=[file])
    assert claim("b").files[0].path.read_text() == "1,2"
    path.unlink()
    assert claim("c") == "lead"
    assert maintenance.tally("t").kept == 0


def test_the_latest_answer_of_any_version_can_be_had():
    keep("a", 1, Question("t", "t|v1", "content", "v1", 60, False))
    keep("b", 2, Question("t", "t|v2", "content", "v2", 60, False))
    assert single_flight.earlier(Question("t", "t|v3", "content", "v3", 60, False)).version == "v2"
    assert single_flight.earlier(Question("t", "t|v3", "another", "v3", 60, False)) is None


# Near-duplicates


def like(bits, threshold=0.9, group="en", key=None):
    return asking(key or f"{bits:x}", alike=Similar(bits, threshold), group=group, content=f"c{bits:x}")


def test_the_nearest_answer_within_the_threshold_is_found():
    bits = 0xDEADBEEFCAFE1234
    keep("far", 1, like(bits ^ 0b111111))
    keep("near", 2, like(bits ^ 0b1))
    keep("other language", 3, like(bits, group="fr", key="fr"))
    found = single_flight.find(like(bits))
    assert (found.job, found.result, found.likeness) == ("near", 2, 63 / 64)
    assert single_flight.find(like(bits ^ (0b1111111 << 20))) is None
    assert (maintenance.tally("t").near, maintenance.tally("t").hits) == (1, 0)


def test_the_same_fingerprint_of_other_words_is_a_near_duplicate():
    keep("a", 1, like(5))
    same, other = like(5), asking("5", alike=Similar(5, 0.9), group="en", content="other words")
    assert single_flight.find(same).likeness is None
    assert single_flight.find(other).likeness == 1.0


def test_only_so_many_are_compared(settings):
    bits = 0xDEADBEEFCAFE1234
    keep("oldest", 1, like(bits ^ 0b1))
    for number in range(10):
        keep(f"j{number}", 2, like(bits ^ (0b11 << (40 + number))))
    settings.JOBROOM = settings.JOBROOM | {"ANSWERS_COMPARED": 5}
    assert single_flight.find(like(bits)).likeness == 62 / 64
    settings.JOBROOM = settings.JOBROOM | {"ANSWERS_COMPARED": 50}
    assert single_flight.find(like(bits)).job == "oldest"


# Handing on


def test_a_plain_job_is_ended_without_a_message():
    with made_task(nothing, name="t") as task:
        handoff.give(entry("b"), {"state": "succeeded", "result": '{"n": 1}', "answer_of": "a"})
        assert task.AsyncResult("b").get() == {"n": 1}
        handoff.give(entry("c"), {"state": "failed", "error": "no", "error_type": "ValueError", "answer_of": "a"})
        with pytest.raises(JobFailed, match="no"):
            task.AsyncResult("c").get()
    assert [(e["type"], e["state"], e["answer_of"], e["result"]) for e in reported("b")] == [
        ("finished", "succeeded", "a", '{"n": 1}')
    ]
    assert [(e["state"], e["error_type"], e["error"]) for e in reported("c")] == [("failed", "ValueError", "no")]
    assert redis.client().llen("default") == 0


def test_a_job_with_more_to_it_is_sent():
    with made_task(nothing, name="t"):
        handoff.give(
            entry("b", plain=False, options={"task_id": "b"}), {"state": "succeeded", "result": "1", "answer_of": "a"}
        )
        end = {"state": "failed", "error": "no", "error_type": "ValueError", "answer_of": "a"}
        handoff.give(entry("c", plain=False, options={"task_id": "c", "headers": {"workflow": "w"}}), end)
    messages = [json.loads(text)["headers"] for text in reversed(redis.client().lrange("default", 0, -1))]
    assert [(m["id"], m.get("answer_failed"), m.get("workflow")) for m in messages] == [
        ("b", None, None),
        ("c", {"error": "no", "error_type": "ValueError", "answer_of": "a"}, "w"),
    ]


def test_a_long_result_is_cut_for_the_database_alone(settings):
    settings.JOBROOM = settings.JOBROOM | {"RESULT_LIMIT": 10}
    with made_task(nothing, name="t") as task:
        handoff.report_end("b", "t", {"state": "succeeded", "result": json.dumps("x" * 50), "answer_of": "a"})
        assert task.AsyncResult("b").get() == "x" * 50
    assert len(reported("b")[0]["result"]) < 50
    assert handoff.shown("null") is None
