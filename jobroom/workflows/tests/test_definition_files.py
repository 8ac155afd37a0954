"""Definition files: every kind of bad one is reported in one sentence, with its place, and a remedy where there is one."""

import pytest

from jobroom.workflows.definitions import parser
from jobroom.workflows.definitions.parser import WrongDefinition
from jobroom.workflows.definitions.payloads import WrongPayload
from jobroom.workflows.definitions.recipe import Recipe
from jobroom.workflows.graph import When

INNER = """
name: inner
payload: {required: [n], properties: {n: {type: integer}}}
nodes:
  first: {task: demo.add, args: ["${payload.n}", 1]}
  second: {task: demo.add, args: ["${first.result}", 1]}
result: "${second.result}"
"""
HANDLED = "name: handled\nnodes: {a: {task: demo.add, args: [1, 1]}}\nfinally: {task: demo.log, args: [x]}\n"
LOOP = "name: loop\nnodes:\n  a: {workflow: loop}\n"
KEPT = {"inner": INNER, "loop": LOOP, "handled": HANDLED}
BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdef", "bcdefg", strict=True)
)


def nodes(*lines):
    """Return a definition with these lines of nodes, the first of which is the third of the text."""
    return "name: x\nnodes:\n" + "".join(f"  {line}\n" for line in lines)


def payload(text):
    """Return a definition with a schema of its payload in its second line."""
    return f'name: x\npayload: {text}\nnodes: {{a: {{task: demo.add, args: ["${{payload.a}}", 1]}}}}\n'


def recipe(text):
    return Recipe(text, KEPT.get)


NO_YAML = [
    ("", "Line 1, column 1: There is nothing in it. A definition has at least `name` and `nodes`."),
    ("# only a remark\n", "Line 1, column 1: There is nothing in it."),
    ("name: [a", "Line 1, column 9: This is no YAML: expected ',' or ']'"),
    ("name: x\n\tnodes: 1", "Line 2, column 1: This is no YAML: found character '\\t'"),
    ("name: x\nname: y\n", "Line 2, column 1: “name” stands here a second time."),
    ("name: x\n---\nname: y\n", "Line 2, column 1: This is no YAML: but found another document."),
    ("name: *nope\n", "Line 1, column 7: This is no YAML: found undefined alias 'nope'."),
    ("name: &a [*a]\n", "Line 1, column 7: It grows without end"),
    (BOMB, "Line 1, column 24: It grows without end"),
    ("name: " + "[" * 3000, "This is no YAML: it is nested too deep."),
    ("name: x\ntitle: a\x07b", "Line 2, column 9: The character U+0007 cannot stand in YAML."),
    (
        "name: !!python/object/apply:os.system x",
        "Line 1, column 7: “x” has a tag that is not known here. Leave it out.",
    ),
    ("name: !mine x", "Line 1, column 7: “x” has a tag that is not known here."),
    ("name: !!binary aGVsbG8=", "Line 1, column 7: Bytes cannot be written as JSON. Use a text."),
    ("? [a]\n: 2\n", "Line 1, column 3: A name must be a text."),
    (nodes("a: {task: demo.add, args: [.nan, 1]}"), "Line 3, column 30: A number is too large, or is none (NaN)."),
    (nodes("a: {task: demo.add, args: [-.inf, 1]}"), "Line 3, column 30: A number is too large"),
    (nodes('a: {task: demo.echo, args: ["a\\0b"]}'), "Line 3, column 31: A text contains U+0000"),
    (nodes('a: {task: demo.echo, args: ["\\ud800"]}'), "Line 3, column 31: A text contains U+0000 or half"),
    (nodes(f"a: {{task: demo.add, args: [{'9' * 5000}, 1]}}"), "Line 3, column 30: “999"),
    (nodes("a: {task: demo.add, args: [!!int x, 1]}"), "Line 3, column 30: “x” cannot be read as int."),
    (nodes("b: &b {task: demo.add}", "a: {<<: *b}"), "Line 4, column 7: Merging with `<<` is not known here. Use"),
    ("x" * 1_000_001, "The text has 1000001 characters; at most 1000000 are read."),
]

SHAPE = [
    ("hello", "Line 1, column 1: “hello” is not an object"),
    ("- a", 'Line 1, column 1: “["a"]” is not an object'),
    ("nodes: {a: {task: demo.add}}", "Line 1, column 1: “name” is missing."),
    ("name: x", "Line 1, column 1: “nodes” is missing."),
    ("name: x\nnodes: {}", "Line 2, column 1: `nodes`: It must not be empty."),
    ("name: x\nnodes:\n", "Line 2, column 1: `nodes`: “null” is not an object"),
    ("name: A B\nnodes: {a: {task: demo.add}}", "Line 1, column 1: `name`: “A B” does not fit. Small letters, digits"),
    ("name: 5\nnodes: {a: {task: demo.add}}", "Line 1, column 1: `name`: “5” is not a text."),
    ("version: 2\n" + nodes("a: {task: demo.add}"), "Line 1, column 1: `version`: It must be 1, not “2”."),
    (nodes("a: {task: demo.add}") + "titel: x", "Line 4, column 1: “titel” is unknown here. Did you mean title?"),
    (
        f"title: {'x' * 201}\n" + nodes("a: {task: demo.add}"),
        "Line 1, column 1: `title`: It has 201 characters; at most",
    ),
    ("external: x.*\n" + nodes("a: {task: x.y}"), "Line 1, column 1: `external`: “x.*” is not a list."),
    ("max_processing_time: 1.0e+12\n" + nodes("a: {task: demo.add}"), "`max_processing_time`: 1000000000000.0 is too"),
    (nodes("a: demo.add"), "Line 3, column 3: `nodes.a`: “demo.add” is not an object"),
    (
        nodes("a: {}"),
        "`nodes.a`: “{}” does not fit. A node has exactly one of `task`, `approval`, `wait_for` and `workflow`.",
    ),
    (
        nodes("a: {task: demo.add, approval: ok}"),
        "A node has exactly one of `task`, `approval`, `wait_for` and `workflow`.",
    ),
    (nodes("a: {tsak: demo.add}"), "Line 3, column 7: `nodes.a`: “tsak” is unknown here. Did you mean task?"),
    (nodes("a: {task: ''}"), "Line 3, column 7: `nodes.a.task`: It must not be empty."),
    (nodes("a: {task: demo.add, args: {x: 1}}"), 'Line 3, column 23: `nodes.a.args`: “{"x": 1}” is not a list.'),
    (nodes("a: {task: demo.add, kwargs: [1]}"), "Line 3, column 23: `nodes.a.kwargs`: “[1]” is not an object"),
    (nodes("a: {task: demo.add, retry: often}"), "`nodes.a.retry`: “often” does not fit. Most retries, or {max"),
    (nodes("a: {task: demo.add, retry: {times: 3}}"), "Line 3, column 31: `nodes.a.retry`: “times” is unknown here."),
    (nodes("a: {task: demo.add, retry: -1}"), "`nodes.a.retry`: -1 is too small; the least is 0."),
    (nodes("a: {task: demo.add, priority: 10}"), "`nodes.a.priority`: 10 is too large; the most is 9."),
    (nodes("a: {task: demo.add, priority: yes}"), "`nodes.a.priority`: “true” is not a whole number."),
    (nodes("a: {task: demo.add, time_limit: 5m}"), "`nodes.a.time_limit`: “5m” is not a number."),
    (nodes("a: {task: demo.add, weight: 0}"), "`nodes.a.weight`: It must be more than 0, not 0."),
    (nodes("a: {task: demo.add, join: some}"), "`nodes.a.join`: “some” is none of all, any."),
    (nodes("a: {approval: ok, on_timeout: wait}"), "`nodes.a.on_timeout`: “wait” is none of approve, deny."),
    (nodes("a: {task: demo.add, needs: 5}"), "`nodes.a.needs`: “5” does not fit. It is the key of a node, or a list"),
    (nodes("a: {task: demo.add, needs: [{nod: b}]}"), "`nodes.a.needs.0`: “{"),
    (nodes("a: {task: demo.add, needs: [{node: b, when: often}]}"), "`nodes.a.needs.0.when`: “often” is none of"),
    (nodes("a: {task: demo.add}") + "on_failure: {tsk: x}", "Line 4, column 1: `on_failure`: “task” is missing."),
]

MEANING = [
    (
        nodes("a: {approval: ok, args: [1]}"),
        "Line 3, column 21: `nodes.a.args` means nothing for a node with `approval`.",
    ),
    (
        nodes("a: {task: demo.add, timeout: 5}"),
        "`nodes.a.timeout` means nothing for a node with `task`. It takes task,",
    ),
    (nodes("a: {workflow: inner, queue: x}"), "`nodes.a.queue` means nothing for a node with `workflow`."),
    (nodes("payload: {task: demo.add}"), "Line 3, column 3: A node cannot be called “payload”"),
    (nodes("a.b: {task: demo.add}"), "Line 3, column 3: A node cannot be called “a.b”"),
    (
        nodes("a: {task: demo.addd}"),
        "Line 3, column 7: Node “a”: there is no task called “demo.addd” here. Did you mean",
    ),
    (
        nodes("sum: {task: demo.add}", "b: {task: demo.add, needs: som}"),
        "Line 4, column 23: Node “b” needs “som”, which",
    ),
    (nodes("sum: {task: demo.add}", "b: {task: demo.add, needs: som}"), "does not exist. Did you mean sum?"),
    (nodes("a: {task: demo.add, needs: a}"), "Line 3, column 23: These nodes wait for each other in a circle: a → a."),
    (nodes("a: {task: demo.add, needs: b}", "b: {task: demo.add, needs: a}"), "Line 4, column 23: These nodes wait"),
    (
        nodes("a: {task: demo.add, args: ['${b.result}']}"),
        "Line 3, column 30: Node “a” needs “b”, which does not exist.",
    ),
    (
        nodes("a: {task: demo.add}", "b: {task: demo.add, args: ['${a}']}"),
        "Line 4, column 30: ${a} is unknown. There are",
    ),
    (nodes("a: {task: demo.add}", "b: {task: demo.add, args: ['${a.rsult}']}"), "${a.rsult} is unknown."),
    (nodes("a: {task: demo.add}", "b: {task: demo.echo, args: ['x ${a.result}']}"), "cannot stand inside a text"),
    (nodes("a: {task: demo.echo, args: ['${payload.x']}"), "Line 3, column 31: `${` has no `}`."),
    (nodes("a: {task: demo.add, args: ['${item}', 1]}"), "Line 3, column 30: ${item} is the item of a fan-out, but"),
    (nodes("a: {task: demo.give}", "b: {task: demo.add, each: '${a.result}', args: ['${item.x}']}"), "the whole item"),
    (nodes("a: {task: demo.add, each: words}"), "Line 3, column 23: `each` is the result of a node, such as"),
    (nodes("a: {task: demo.add}") + "finally: {task: nope}", "Line 4, column 11: Node “finalizer”: there is no task"),
    (
        nodes("a: {task: demo.add}") + "finally: {task: demo.log, args: ['${a.result}']}",
        "`finally` runs whatever became",
    ),
    (nodes("a: {task: demo.add}") + "result: {x: ['${b.result}']}", "Line 4, column 14: ${b.result} is unknown."),
    (nodes("a: {task: demo.add}") + "result: '${item}'", "Line 4, column 1: ${item} is the item of a fan-out"),
    (nodes("a: {workflow: nope}"), "Line 3, column 7: There is no workflow called “nope”."),
    (LOOP, "Line 3, column 7: Workflows within workflows, more than 10 deep. Does one contain itself?"),
    (nodes("a: {workflow: inner}"), "Line 3, column 3: “inner”: n: “n” is missing."),
    (nodes("a: {workflow: inner, payload: {n: x}}"), "Line 3, column 24: “inner”: n: “x” is not a whole number."),
    (
        nodes("a: {workflow: handled}"),
        "Line 3, column 3: The workflow “a” has a handler of its own; only the outermost",
    ),
    (nodes("b: {task: demo.add}", "a: {workflow: inner, payload: {n: '${b.result}'}}"), "must be known at launch."),
    (payload("{type: array}"), "Line 2, column 11: A payload is always an object; leave `type` out."),
    (payload("{properties: {a: {type: intger}}}"), "Line 2, column 28: This is no JSON Schema: “intger” does not fit."),
    (payload("{properties: {a: integer}}"), "Line 2, column 24: This is no JSON Schema: “integer” is not an object"),
    (payload("{properties: {a: {type: string, pattern: '('}}}"), "Line 2, column 42: This is no JSON Schema"),
    (
        payload("{properties: {a: {type: integer, default: x}}}"),
        "Line 2, column 43: The default does not fit: “x” is not",
    ),
    (payload("{required: [b], properties: {a: {type: integer}}}"), "“b” is required, but is not among `properties`."),
    (
        payload("{properties: {a: {$ref: 'http://127.0.0.1:1/x'}}}"),
        "Line 2, column 24: `$ref` stays within the payload",
    ),
    (
        payload("{properties: {a: {type: integer, x-model: assets.No}}}"),
        "There is no model “assets.No”. Name app and model",
    ),
    (payload("{properties: {b: {type: integer}}}"), ": The payload has no a. There are: b."),
]


@pytest.mark.parametrize(("text", "said"), [*NO_YAML, *SHAPE, *MEANING])
def test_a_bad_file_is_reported_in_a_line_with_its_place(text, said):
    with pytest.raises(WrongDefinition) as caught:
        recipe(text).check()
    message = str(caught.value)
    lines = message.split("\n")
    assert sum(said in line for line in lines) == 1
    assert caught.value.errors == {"text": lines}
    if caught.value.place is not None:
        assert message.startswith(f"Line {caught.value.place.line}, column {caught.value.place.column}: ")
        assert caught.value.place.line <= text.count("\n") + 1


def test_only_what_has_no_place_is_reported_without_one():
    without = [said for _, said in NO_YAML if not said.startswith("Line ")]
    assert without == [
        "This is no YAML: it is nested too deep.",
        "The text has 1000001 characters; at most 1000000 are read.",
    ]


def test_many_values_are_read_and_more_are_refused(monkeypatch):
    monkeypatch.setattr(parser, "MOST_VALUES", 1100)
    many = nodes(f"a: {{task: demo.xsum, args: [[{','.join(['1'] * 1000)}]]}}")
    assert len(recipe(many).build().graph.nodes[0].args[0]) == 1000
    with pytest.raises(WrongDefinition, match="It grows without end"):
        recipe(nodes(f"a: {{task: demo.xsum, args: [[{','.join(['1'] * 1100)}]]}}"))


# --- what a right file becomes ------------------------------------------------------------------------------------


def test_values_keep_their_type_and_go_into_texts():
    text = """
    name: x
    payload: {properties: {n: {type: integer, default: 3}, rows: {type: array, default: [1, {b: 2}]}}}
    nodes:
      a: {task: demo.echo, args: ["${payload.n}", "n is ${payload.n}!", "${payload.rows.1.b}", "${ payload.rows }"]}
    """
    assert recipe(text).build({"n": 4}).graph.nodes[0].args == [4, "n is 4!", 2, [1, {"b": 2}]]


def test_dates_stay_texts_as_json_knows_none():
    assert recipe(nodes("a: {task: demo.echo, args: [2020-01-01]}")).build().graph.nodes[0].args == ["2020-01-01"]


def test_a_value_that_was_left_out_is_null():
    text = "name: x\npayload: {properties: {n: {type: integer}}}\nnodes: {a: {task: demo.echo, args: ['${payload.n}']}}"
    assert recipe(text).build().graph.nodes[0].args == [None]


def test_who_uses_a_result_waits_for_it_under_the_condition_that_is_given():
    text = nodes(
        "a: {task: demo.add, args: [1, 1]}",
        "b: {task: demo.echo, args: ['${a.result}'], needs: [{node: a, when: always}]}",
        "c: {task: demo.echo, args: ['${a.result}', '${b.result}']}",
    )
    graph = recipe(text).build().graph
    assert [node.parents for node in graph.nodes] == [[], [(0, When.ALWAYS)], [(0, When.SUCCESS), (1, When.SUCCESS)]]


def test_parts_of_results_are_taken_by_key_and_by_index_from_either_end():
    text = nodes(
        "a: {task: demo.give, args: [1]}",
        "b: {task: demo.echo, args: ['${a.result.0.total}', '${a.result.-1}', '${a.result.--1}']}",
    )
    (first, last, key) = recipe(text).build().graph.nodes[1].references()
    assert (first.path, last.path, key.path) == ((0, "total"), (-1,), ("--1",))


def test_nodes_may_stand_in_any_order():
    graph = recipe(nodes("b: {task: demo.echo, needs: a}", "a: {task: demo.echo}")).build().graph
    assert [(node.key, node.parents) for node in graph.nodes] == [("a", []), ("b", [(0, When.SUCCESS)])]


def test_an_inner_workflow_waits_under_the_condition_that_is_given_and_gives_its_result():
    text = nodes(
        "risky: {task: demo.fail}",
        "repair: {workflow: inner, payload: {n: 5}, needs: [{node: risky, when: failure}]}",
        "last: {task: demo.echo, args: ['${repair.result}']}",
    )
    graph = recipe(text).build().graph
    assert [(node.key, node.parents) for node in graph.nodes] == [
        ("risky", []),
        ("repair: first", [(0, When.FAILURE)]),
        ("repair: second", [(1, When.SUCCESS)]),
        ("last", [(2, When.SUCCESS)]),
    ]


def test_an_inner_workflow_is_given_what_the_outer_payload_says():
    text = "name: x\npayload: {properties: {m: {type: integer}}}\nnodes: {a: {workflow: inner, payload: {n: '${payload.m}'}}}"
    outer = recipe(text)
    outer.check()
    assert outer.build({"m": 4}).graph.nodes[0].args == [4, 1]
    with pytest.raises(WrongDefinition, match="“inner”: n: “null” is not a whole number"):
        outer.build()


def test_defaults_are_for_every_task_and_a_node_may_say_otherwise():
    text = "defaults: {queue: slow, retry: 2, time_limit: 60}\n" + nodes(
        "a: {task: demo.add, args: [1, 1]}",
        "b: {task: demo.add, args: [1, 1], queue: fast, retry: 0}",
        "c: {approval: ok}",
    )
    first, second, third = recipe(text).build().graph.nodes
    assert (first.options["queue"], first.options["retry"], first.options["time_limit"]) == ("slow", [2, 1.0, 2.0], 60)
    assert (second.options["queue"], second.options["retry"]) == ("fast", [0, 1.0, 2.0])
    assert "queue" not in third.options


# --- payloads --------------------------------------------------------------------------------------------------------

SUMS = """
name: sums
payload:
  required: [a]
  properties:
    a: {type: integer, minimum: 1}
    how: {enum: [fast, slow], default: fast}
    rows: {type: array, items: {type: object, required: [x], properties: {x: {type: integer}}}, default: []}
nodes:
  add: {task: demo.add, args: ["${payload.a}", 1]}
"""


@pytest.mark.parametrize(
    ("given", "errors"),
    [
        ({}, {"a": ["“a” is missing."]}),
        ({"a": "1"}, {"a": ["“1” is not a whole number."]}),
        ({"a": 0}, {"a": ["0 is too small; the least is 1."]}),
        ({"a": None}, {"a": ["“null” is not a whole number."]}),
        ({"a": True}, {"a": ["“true” is not a whole number."]}),
        ({"a": 1, "how": "never"}, {"how": ["“never” is none of fast, slow."]}),
        ({"a": 1, "row": []}, {"row": ["There is no such field. Did you mean rows?"]}),
        ({"a": 1, "rows": [{"x": 1}, {"x": "y"}]}, {"rows": ["At 1.x: “y” is not a whole number."]}),
        ({"a": 1, "rows": [{}]}, {"rows": ["At 0: “x” is missing."]}),
        (
            {"b": 1, "how": 2},
            {"a": ["“a” is missing."], "b": ["There is no such field."], "how": ["“2” is none of fast, slow."]},
        ),
        ({"a": float("nan")}, {"a": ["A number is too large, or is none (NaN)."]}),
        ({"a": 1, "how": "a\x00"}, {"how": ["A text contains U+0000 or half of a surrogate pair."]}),
    ],
)
def test_a_bad_payload_names_its_fields(given, errors):
    with pytest.raises(WrongPayload) as caught:
        recipe(SUMS).build(given)
    assert caught.value.errors == errors


def test_references_within_a_payload_are_followed():
    text = payload("{$defs: {size: {type: integer, maximum: 9}}, properties: {a: {$ref: '#/$defs/size', default: 2}}}")
    assert recipe(text).build().graph.nodes[0].args == [2, 1]
    with pytest.raises(WrongPayload, match="10 is too large; the most is 9"):
        recipe(text).build({"a": 10})


def test_a_reference_to_nothing_is_reported():
    with pytest.raises(WrongPayload, match="refers to what is not there"):
        recipe(payload("{properties: {a: {$ref: '#/$defs/nope'}}}")).build({"a": 1})
