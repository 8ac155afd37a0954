"""Graphs as plain data."""

import pytest

from jobroom.workflows.exceptions import Cycle, InvalidGraph
from jobroom.workflows.graph import Graph, Node, Ref, When, references
from jobroom.workflows.tests.stored import chain, fan, node


def test_a_circle_is_named_in_the_order_of_its_edges():
    graph = Graph([node(0, 2), node(1, 0), node(2, 1), node(3)])
    with pytest.raises(Cycle, match=r"k0 → k1 → k2 → k0|k1 → k2 → k0 → k1|k2 → k0 → k1 → k2") as caught:
        graph.check()
    assert caught.value.path[0] == caught.value.path[-1]


def test_a_node_that_waits_for_itself_is_a_circle():
    with pytest.raises(Cycle, match="k0 → k0"):
        Graph([node(0, 0)]).check()


def test_what_only_hangs_behind_a_circle_is_not_named():
    graph = Graph([node(0, 1), node(1, 0), node(2, 1)])
    with pytest.raises(Cycle) as caught:
        graph.check()
    assert "k2" not in caught.value.path


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (Graph(), "has no nodes. Add at least one"),
        (Graph([node(0, 7)]), "“k0” waits for node number 7, which does not exist"),
        (Graph([node(0), node(1, args=[{"$node": 0}])]), "“k1” uses the result of “k0”, but does not wait for it"),
        (Graph([node(0, args=[{"$node": 9}])]), "“k0” uses the result of “9”"),
    ],
)
def test_a_graph_that_cannot_run_says_why(graph, message):
    with pytest.raises(InvalidGraph, match=message):
        graph.check()


def test_a_result_may_be_used_by_what_waits_indirectly():
    graph = chain(3)
    graph.nodes[2].args = [Ref(0)["total"]]
    graph.check()


def test_order_has_parents_first():
    graph = Graph([node(0, 2), node(1), node(2, 1)])
    assert graph.order() == [1, 2, 0]


def test_who_follows_and_who_comes_before():
    graph = fan(3)
    assert graph.descendants([1]) == {4}
    assert graph.descendants([0]) == {1, 2, 3, 4}
    graph.nodes[4].args = [Ref(0)]
    assert graph.ancestors(4) == {0, 1, 2, 3}


def test_the_text_of_a_graph_makes_the_same_graph():
    graph = Graph(
        [node(0, label="one"), node(1, 0, when=When.ALWAYS, join="any", weight=2.0, args=[Ref(0, ("a", 1))])],
        finalizer=1,
        result=Ref(0),
        lenient=True,
    )
    again = Graph.loads(graph.dumps())
    assert again.dumps() == graph.dumps()
    assert again.nodes[1].parents == [(0, When.ALWAYS)]
    assert list(again.nodes[1].references()) == [Ref(0, ("a", 1))]
    assert again.finalizer == 1
    assert again.lenient


def test_a_node_is_written_without_what_goes_without_saying():
    assert set(Node(index=0, key="k", id="i", task="t").plain()) == {"key", "id", "task"}


def test_references_are_found_wherever_they_are():
    value = [{"a": Ref(1)}, (Ref(2)["x"],), {"$node": 3}, {"$node": 4, "more": 1}, "text"]
    assert list(references(value)) == [Ref(1), Ref(2, ("x",)), Ref(3)]


def test_no_one_can_loop_over_a_result_that_is_not_known():
    with pytest.raises(TypeError, match="Use fan_out"):
        list(Ref(0))


def test_a_chain_of_thousands_is_checked_without_recursion():
    chain(5000).check()
