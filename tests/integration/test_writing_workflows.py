"""Workflows as they are written: the interface of celery-dyrygent, and what it lacks."""

import json
from datetime import UTC, datetime

import pytest
from celery import chain, chord, group

from demo import tasks as demo
from image.celery import app
from jobroom.workflows.exceptions import Cycle, InvalidGraph, UnknownNodeTask, WorkflowException
from jobroom.workflows.graph import When
from jobroom.workflows.tasks import register_workflow_processor
from jobroom.workflows.tests.hand import new_workflow, signature
from jobroom.workflows.workflows import ITEM_HERE, Workflow, WorkflowState


def add(*numbers):
    """Return a signature of a task that there is."""
    return demo.add.si(*numbers)


def waits(workflow):
    """Return which keys each node waits for."""
    nodes = workflow.graph.nodes
    return {node.key: [nodes[parent].key for parent, _ in node.parents] for node in nodes}


def test_a_canvas_becomes_nodes_and_edges():
    workflow = Workflow()
    ends = workflow.add_celery_canvas(chain(add(1, 1), group(add(2, 2), add(3, 3)), add(4, 4)))
    assert waits(workflow) == {"add": [], "add 2": ["add"], "add 3": ["add"], "add 4": ["add 2", "add 3"]}
    assert [end.node.key for end in ends] == ["add 4"]


def test_a_canvas_follows_what_it_depends_on():
    workflow = Workflow()
    first = workflow.add_celery_canvas(add(1, 1))
    workflow.add_celery_canvas(chord([add(2, 2), add(3, 3)], add(4, 4)), first)
    assert waits(workflow)["add 2"] == ["add"]
    assert waits(workflow)["add 4"] == ["add 2", "add 3"]


@pytest.mark.parametrize("empty", [group([]), chord([], demo.add.si(1, 1))])
def test_empty_pieces_pass_on_what_comes_before(empty):
    workflow = Workflow()
    before = workflow.add_celery_canvas(add(1, 1))
    ends = workflow.add_celery_canvas(empty, before)
    assert ends == before or waits(workflow)["add 2"] == ["add"]


def test_a_workflow_of_nothing_is_refused():
    with pytest.raises(InvalidGraph, match="Add at least one"):
        Workflow().check()


def test_a_signature_that_is_added_twice_runs_twice():
    workflow, frozen = Workflow(), add(1, 1)
    job = frozen.freeze().id
    assert workflow.add_signature(frozen).id == job
    assert workflow.add_signature(frozen).id != job
    assert len(workflow.nodes) == 2


def test_nodes_have_the_ids_of_frozen_signatures():
    frozen = add(1, 1)
    job = frozen.freeze().id
    assert Workflow().add_signature(frozen).id == job


def test_an_unknown_task_is_named_with_its_place_and_what_is_similar():
    workflow = Workflow()
    workflow.add_celery_canvas(group(app.signature("demo.addd"), add(1, 1)))
    with pytest.raises(UnknownNodeTask, match=r"“group 1 / addd”: there is no task called “demo.addd” here.*demo.add"):
        workflow.check()


def test_tasks_of_other_workers_are_named_as_external():
    workflow = Workflow(external=("elsewhere.*",))
    workflow.add_signature(app.signature("elsewhere.work"))
    workflow.check()


def test_a_circle_is_found_when_the_workflow_is_built():
    workflow = Workflow()
    one = workflow.add_signature(add(1, 1), key="one")
    two = workflow.add_signature(add(2, 2), [one], key="two")
    one.add_dependency(two)
    with pytest.raises(Cycle, match=r"one → two → one|two → one → two"):
        workflow.freeze()


def test_a_dependency_twice_is_refused():
    workflow = Workflow()
    one = workflow.add_signature(add(1, 1), key="one")
    two = workflow.add_signature(add(2, 2), [one], key="two")
    with pytest.raises(WorkflowException, match="“two” depends on “one” already"):
        two.add_dependency(one)


def test_conditions_are_checked():
    workflow = Workflow()
    one, two = workflow.add_signature(add(1, 1)), workflow.add_signature(add(2, 2))
    with pytest.raises(WorkflowException, match="success, failure, always or timeout, not 'perhaps'"):
        two.add_dependency(one, {"when": "perhaps"})
    two.add_dependency(one, {"when": "failure"})
    assert two.node.parents == [(0, When.FAILURE)]
    assert two.dependencies == {one.id: {"when": "failure"}}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"colour": "red"}, "no option 'colour'"),
        ({"join": "some"}, "all or any, not 'some'"),
        ({"retry": {"times": 3}}, "max, delay and factor, not times"),
    ],
)
def test_options_of_nodes_are_checked(options, message):
    with pytest.raises(WorkflowException, match=message):
        Workflow().add_signature(add(1, 1)).set(**options)


def test_options_of_nodes_are_kept():
    node = Workflow().add_signature(
        add(1, 1),
        queue="slow",
        priority=3,
        time_limit=9,
        retry={"max": 5, "delay": 0.5},
        weight=2,
        group=["box"],
        label="Sum",
        eta=datetime(2030, 1, 1, tzinfo=UTC),
    )
    assert node.node.options == {
        "queue": "slow",
        "priority": 3,
        "time_limit": 9,
        "retry": [5, 0.5, 2.0],
        "eta": "2030-01-01T00:00:00+00:00",
    }
    assert (node.node.weight, node.node.group, node.node.label) == (2, ["box"], "Sum")


def test_the_number_of_nodes_is_bounded(settings):
    settings.JOBROOM = settings.JOBROOM | {"WORKFLOWS_MAX_NODES": 3}
    workflow = Workflow()
    workflow.add_celery_canvas(group(add(i, i) for i in range(4)))
    with pytest.raises(InvalidGraph, match=r"4 nodes; at most 3 .*WORKFLOWS_MAX_NODES"):
        workflow.check()


def test_who_uses_a_result_waits_for_it():
    workflow = Workflow()
    one = workflow.add_signature(add(1, 1), key="one")
    two = workflow.add_signature(add(1, one.result["x"]), key="two")
    assert two.node.parents == [(0, When.SUCCESS)]


def test_a_fan_out_puts_the_item_first_or_where_it_is_asked_for():
    workflow = Workflow()
    numbers = workflow.add_signature(add(1, 1))
    assert workflow.add_fan_out(demo.add.s(10), numbers).node.args == [ITEM_HERE, 10]
    assert workflow.add_fan_out(demo.add.s(10, ITEM_HERE), numbers).node.args == [10, ITEM_HERE]


def test_a_workflow_in_a_workflow_is_a_box_of_its_own():
    inner = Workflow(name="inner")
    inner.add_celery_canvas(chain(demo.add.s(1, 1), demo.add.s(2)))
    outer = Workflow()
    first = outer.add_signature(add(0, 0), key="first")
    placed = outer.add_workflow(inner, [first], key="part")
    last = outer.add_signature(demo.add.si(placed.result, 1), placed.ends, key="last")
    outer.check()
    assert waits(outer) == {"first": [], "part: add": ["first"], "part: add 2": ["part: add"], "last": ["part: add 2"]}
    assert outer.graph.nodes[1].group == ["part"]
    assert [ref.index for ref in last.node.references()] == [2]
    assert [ref.index for ref in outer.graph.nodes[2].references()] == [1]


def test_only_the_outermost_workflow_has_handlers():
    inner = Workflow(name="inner")
    inner.add_signature(add(1, 1))
    inner.finalizer(add(1, 1))
    with pytest.raises(WorkflowException, match="only the outermost can have one"):
        Workflow().add_workflow(inner)


# --- as celery-dyrygent -------------------------------------------------------------------------------------------


@pytest.fixture
def processor():
    """The application may get a processor, and is left without it."""
    yield
    app.tasks.pop("workflow-processor", None)
    Workflow.set_workflow_processor_task(None)


@pytest.mark.usefixtures("processor")
def test_the_processor_is_registered_under_its_name():
    task = register_workflow_processor(app, max_retries=3)
    assert task.name == "workflow-processor"
    assert register_workflow_processor(app) is task
    assert Workflow.workflow_processor_task is task


def test_ticks_are_simulated_in_the_order_of_the_dependencies():
    workflow = Workflow()
    workflow.add_celery_canvas(chain(add(1, 1), group(add(2, 2), add(3, 3)), add(4, 4)))
    seen = []
    while workflow.simulate_tick():
        seen.append(sorted(workflow.nodes[node_id].node.index for node_id in workflow.running))
    assert seen == [[0], [1, 2], [3]]
    assert len(workflow.finished) == 4


def test_dependencies_are_iterated_in_the_order_of_ids():
    workflow = Workflow()
    one = workflow.add_signature(add(1, 1).set(task_id="b"))
    two = workflow.add_signature(add(2, 2).set(task_id="a"), [one])
    assert list(workflow.iterate_dependencies()) == [(two, one), (one, None)]


def test_skipped_tasks_count_as_done_and_need_what_they_wait_for():
    workflow = Workflow()
    one = workflow.add_signature(add(1, 1), key="one")
    two = workflow.add_signature(add(2, 2), [one], key="two")
    three = workflow.add_signature(add(3, 3), [two], key="three")
    with pytest.raises(WorkflowException, match="“two” cannot be skipped without one"):
        workflow.skip_tasks([two.id])
    workflow.skip_tasks([one.id, two.id])
    assert workflow.get_signatures_to_run() == [three]


def test_a_dict_makes_the_same_workflow():
    workflow = Workflow({"queue": "x"}, name="mine", external=("a.*",))
    workflow.custom_payload["a"] = 1
    workflow.set_max_processing_time(60)
    workflow.set_retry_policy("random", 1, 2)
    one = workflow.add_signature(add(1, 1), key="one")
    one.custom_payload["b"] = 2
    workflow.add_signature(demo.add.s(1, one.result), key="two")
    workflow.freeze()
    again = Workflow.from_dict(json.loads(json.dumps(workflow.to_dict())))
    assert again.to_dict() == workflow.to_dict()
    assert again.nodes[one.id].custom_payload == {"b": 2}
    assert again.custom_payload == {"a": 1}
    assert again.max_processing_time == 60


def test_a_dict_with_too_much_or_too_little_does_no_harm():
    workflow = Workflow()
    workflow.add_signature(add(1, 1))
    found = Workflow.from_dict({"graph": workflow.to_dict()["graph"], "stats": {"ticks": 7}})
    assert found.state == WorkflowState.INITIAL
    assert len(found.nodes) == 1


def test_nodes_added_to_a_workflow_from_a_dict_have_keys_of_their_own():
    workflow = new_workflow()
    workflow.add_signature(signature())
    workflow.add_signature(signature())
    again = Workflow.from_dict(workflow.to_dict())
    again.add_signature(signature())
    assert len({node.key for node in again.graph.nodes}) == 3


def test_only_the_policy_of_celery_dyrygent_is_taken():
    with pytest.raises(WorkflowException, match="'random', not 'steady'"):
        Workflow().set_retry_policy("steady", 1)


def test_signals_are_emitted_and_a_handler_that_fails_harms_nothing(monkeypatch, caplog):
    heard = []
    monkeypatch.setitem(Workflow.hooks, "on_finish", [])

    @Workflow.connect("on_finish")
    def fails(workflow, payload):
        raise ValueError("broken")

    @Workflow.connect("on_finish")
    def hears(workflow, payload):
        heard.append((workflow, payload))

    workflow = Workflow()
    workflow.emit("on_finish", "x")
    assert heard == [(workflow, "x")]
    assert "failed for workflow" in caplog.text


def test_an_unknown_signal_is_refused():
    with pytest.raises(WorkflowException, match=r"no signal “on_start”. There are: after_active_tick"):
        Workflow.connect("on_start")
