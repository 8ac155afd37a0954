"""The JSON Schema of a definition, version 1; published at /api/workflows/schema/ and in the reference."""

from typing import Any

VERSION = 1

_TEXT = {"type": "string"}
_SECONDS = {"type": "number", "exclusiveMinimum": 0, "maximum": 10 * 365 * 24 * 3600}
_RETRY = {
    "description": "Most retries, or {max, delay, factor}: how often and when.",
    "oneOf": [
        {"type": "integer", "minimum": 0, "maximum": 100},
        {
            "type": "object",
            "properties": {
                "max": {"type": "integer", "minimum": 0, "maximum": 100},
                "delay": {"type": "number", "minimum": 0, "description": "Seconds before the first retry."},
                "factor": {"type": "number", "minimum": 1, "description": "By which each further pause is longer."},
            },
            "additionalProperties": False,
        },
    ],
}
_OPTIONS: dict[str, Any] = {
    "queue": _TEXT,
    "priority": {"type": "integer", "minimum": 0, "maximum": 9},
    "time_limit": _SECONDS,
    "soft_time_limit": _SECONDS,
    "retry": _RETRY,
}
_CALL: dict[str, Any] = {
    "task": {"type": "string", "minLength": 1, "description": "The name of a task, as in the catalogue."},
    "args": {"type": "array"},
    "kwargs": {"type": "object"},
}
_HANDLER = {
    "type": "object",
    "properties": {**_CALL, **_OPTIONS},
    "required": ["task"],
    "additionalProperties": False,
}
_NEED = {
    "description": "It is the key of a node, or {node: key, when: success, failure, always or timeout}.",
    "oneOf": [
        _TEXT,
        {
            "type": "object",
            "properties": {"node": _TEXT, "when": {"enum": ["success", "failure", "always", "timeout"]}},
            "required": ["node"],
            "additionalProperties": False,
        },
    ],
}
_NODE = {
    "type": "object",
    "properties": {
        **_CALL,
        **_OPTIONS,
        "each": {"type": "string", "description": "A result: the task runs once for each of its items, `${item}`."},
        "limit": {"type": "integer", "minimum": 1, "description": "So many items of `each` at a time."},
        "approval": {"type": "string", "description": "A question to a person; the node waits for the answer."},
        "groups": {"type": "array", "items": _TEXT, "description": "Who may decide, beside staff."},
        "wait_for": {"type": "string", "description": "An event that is delivered from outside, in words."},
        "timeout": {
            **_SECONDS,
            "description": "Seconds after which an approval is decided by itself, and an event does not count any more.",
        },
        "on_timeout": {"enum": ["approve", "deny"]},
        "workflow": {"type": "string", "description": "Another definition, which runs in this place."},
        "payload": {"type": "object", "description": "What that one is given."},
        "needs": {
            "description": "It is the key of a node, or a list of keys and of {node: key, when: success, failure, always or timeout}.",
            "oneOf": [_TEXT, {"type": "array", "items": _NEED}],
        },
        "join": {"enum": ["all", "any"]},
        "label": _TEXT,
        "group": {
            "description": "It is the name of a box, or a list of names, the outermost first.",
            "oneOf": [_TEXT, {"type": "array", "items": _TEXT}],
        },
        "weight": {"type": "number", "exclusiveMinimum": 0},
    },
    "additionalProperties": False,
    "description": "A node has exactly one of `task`, `approval`, `wait_for` and `workflow`.",
    "oneOf": [
        {"required": ["task"]},
        {"required": ["approval"]},
        {"required": ["wait_for"]},
        {"required": ["workflow"]},
    ],
}
# The keys that mean something for each kind of node.
_PLACE = ("needs", "join", "label", "group", "weight")
KINDS: dict[str, tuple[str, ...]] = {
    "task": ("task", "args", "kwargs", "each", "limit", *_OPTIONS, *_PLACE),
    "approval": ("approval", "groups", "timeout", "on_timeout", *_PLACE),
    "wait_for": ("wait_for", "timeout", *_PLACE),
    "workflow": ("workflow", "payload", "needs"),
}

SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Workflow definition",
    "type": "object",
    "properties": {
        "version": {"const": VERSION},
        "name": {
            "type": "string",
            "description": "Small letters, digits, `.`, `_` and `-`; at most 120.",
            "pattern": "^[a-z0-9][a-z0-9_.-]{0,119}$",
        },
        "title": {"type": "string", "maxLength": 200},
        "description": {"type": "string", "description": "Markdown."},
        "payload": {"type": "object", "description": "JSON Schema of what a launch is given."},
        "defaults": {"type": "object", "properties": _OPTIONS, "additionalProperties": False},
        "max_processing_time": _SECONDS,
        "handled_failures": {"enum": ["success", "failure"]},
        "external": {"type": "array", "items": _TEXT, "description": "Patterns of tasks that live elsewhere."},
        "nodes": {"type": "object", "minProperties": 1, "additionalProperties": _NODE},
        "on_failure": _HANDLER,
        "finally": _HANDLER,
        "result": {},
    },
    "required": ["name", "nodes"],
    "additionalProperties": False,
}
