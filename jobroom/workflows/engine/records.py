"""Makes the record of a node for the scripts: prepared parts of its message, and which nodes wait for it."""

import json
import re
import secrets
from bisect import bisect
from collections.abc import Iterable
from typing import Any, NamedTuple

from celery import current_app
from kombu.transport.redis import Channel
from kombu.utils.json import dumps

from jobroom.celery import delayed
from jobroom.workflows.graph import ITEM, Graph, Kind, Node, Path, Ref, When, as_reference, is_reference, references

# A hole in the text of a message: what no one's text contains, as no one knows it.
_MARK = f"hole-{secrets.token_hex(12)}-"
_HOLE = re.compile(rf'"{_MARK}(.*?){_MARK}"')
KINDS = {Kind.TASK: 0, Kind.APPROVAL: 1, Kind.FAN_OUT: 2, Kind.EVENT: 3}

# A text in which results are put: literal texts and, at odd places, names of results.
Segments = list[str]


class Lists(NamedTuple):
    """How the broker names its lists, if it is the Redis of Jobroom; else messages are sent by Celery."""

    sep: str = Channel.sep
    steps: tuple[int, ...] = tuple(Channel.priority_steps)

    def key(self, queue: str, priority: int) -> str:
        """Return the list of a queue for messages of that priority, as Kombu names it."""
        step = self.steps[bisect(self.steps, priority) - 1]
        return f"{queue}{self.sep}{step}" if step else queue


def field(ref: Ref) -> str:
    """Return the name under which the scripts keep a result."""
    return f"{ref.index}/{json.dumps(list(ref.path))}" if ref.path else str(ref.index)


def segments(value: Any) -> Segments:
    """Return the JSON text of `value`, cut where results go: text, name of a result, text, name, text ..."""
    text = dumps(_marked(value))
    if _MARK not in text:
        return [text]
    parts = _HOLE.split(text)
    return [json.loads(f'"{part}"') if at % 2 else part for at, part in enumerate(parts)]


def _marked(value: Any) -> Any:
    if is_reference(value):
        return f"{_MARK}{field(as_reference(value))}{_MARK}"
    if isinstance(value, dict):
        if value.keys() == {ITEM}:
            return f"{_MARK}{ITEM}{_MARK}"
        return {key: _marked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_marked(item) for item in value]
    return value


def wanted(graph: Graph) -> dict[int, list[Path]]:
    """Return for each node which parts of its result others need; an empty path is the whole."""
    found: dict[int, dict[Path, None]] = {}
    refs: Iterable[Ref] = (ref for node in graph.nodes for ref in node.references())
    for ref in [*refs, *_of_result(graph)]:
        found.setdefault(ref.index, {})[ref.path] = None
    return {index: list(paths) for index, paths in found.items()}


def _of_result(graph: Graph) -> Iterable[Ref]:
    return references(graph.result)


def records(graph: Graph, lists: Lists | None) -> list[str]:
    """Return the record of every node, as JSON text."""
    wants = wanted(graph)
    edges = _edges(graph)
    return [record_of(node, wants.get(node.index), edges[node.index], lists) for node in graph.nodes]


def _edges(graph: Graph) -> list[list[list[int]]]:
    """Return for each node [child, condition, edges that the child needs, impossible edges that block it]."""
    found: list[list[list[int]]] = [[] for _ in graph.nodes]
    for node in graph.nodes:
        number = len(node.parents)
        need, limit = (1, number) if node.join == "any" else (number, 1)
        for parent, when in node.parents:
            found[parent].append([node.index, int(when), need, limit])
    return found


def record_of(node: Node, wants: list[Path] | None, children: list[list[int]], lists: Lists | None) -> str:
    """Return the record of one node, as JSON text: which of its results others want, and the edges to those that wait."""
    record: dict[str, Any] = {"i": node.id, "c": children}
    if node.kind != Kind.TASK:
        record["k"] = KINDS[node.kind]
    if any(edge[1] != When.SUCCESS for edge in children):
        record["y"] = 1  # a failure of it is dealt with
    if any(edge[1] == When.TIMEOUT for edge in children):
        record["y"] = 2  # that no one came in time is foreseen
    if node.waits_outside:
        timeout = node.options.get("timeout")
        record |= {} if timeout is None else {"d": float(timeout)}
        return json.dumps(record, separators=(",", ":"))
    queue, priority = node.options["queue"], int(node.options.get("priority") or 0)
    record |= {"t": node.task, "n": queue, "p": priority, "h": _headers(node, wants), "b": _body(node)}
    if lists is not None:
        record["q"] = lists.key(queue, priority)
    record |= _delays(node) | _guards(node)
    if isinstance(node.options.get("eta"), str):
        record["a"] = node.options["eta"]  # for the database; the message has it among its headers
        record["u"] = delayed.due_at(node.options["eta"], current_app)
    if node.kind == Kind.FAN_OUT:
        record["o"] = field(as_reference(node.over))
        record |= {"m": int(node.options["limit"])} if node.options.get("limit") else {}
        record |= {"w": found} if (found := _of_items(node.index, wants or ())) else {}
    return json.dumps(record, separators=(",", ":"))


def _of_items(index: int, wants: Iterable[Path]) -> list[list[Any]]:
    """Return what others want of single items of a fan-out: [first step, its text, name in an item, name].

    Only when the list is whole the last item has a place, and an index that is too large is known to have none.
    """
    return [[path[0], f"[{path[0]!r}]", field(Ref(0, path[1:]))[1:], field(Ref(index, path))] for path in wants if path]


def _guards(node: Node) -> dict[str, Any]:
    """Return whose failure it must be that blocks the node, and which errbacks are called then."""
    if not node.guards:
        return {}
    return {"e": [guard["of"] for guard in node.guards], "f": [guard["errbacks"] for guard in node.guards]}


def _delays(node: Node) -> dict[str, float]:
    """Return seconds that count from when the message is sent: until it may run, until it may not any more."""
    names = {"z": node.options.get("countdown"), "v": node.options.get("expires")}
    return {name: float(value) for name, value in names.items() if value and isinstance(value, int | float)}


def _headers(node: Node, wants: list[Path] | None) -> str:
    """Return the headers that only this node's message has, as JSON without its braces."""
    options = node.options
    headers: dict[str, Any] = {"task": node.task, "retries": 0}
    limits = [options.get("time_limit"), options.get("soft_time_limit")]
    headers["timelimit"] = limits
    headers |= {name: options[name] for name in ("shadow", "ignore_result") if options.get(name)}
    headers |= {name: options[name] for name in ("eta", "expires") if isinstance(options.get(name), str)}
    if options.get("retry"):
        headers["retry_policy"] = options["retry"]
    if wants and wants != [()]:
        headers["wants"] = [list(path) for path in wants]
    elif wants:
        headers["wants"] = 1
    headers |= options.get("headers") or {}
    return dumps(headers)[1:-1]


def _body(node: Node) -> Segments:
    embed = {"callbacks": None, "errbacks": None, "chain": None, "chord": None, **node.embed}
    return segments([node.args, node.kwargs, embed])
