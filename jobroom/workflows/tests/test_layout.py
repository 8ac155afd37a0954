"""The layout: every edge goes forward, no two boxes overlap, the same graph gives the same picture, in time."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobroom.testing.tiers import cases
from jobroom.workflows.graph import Graph, When
from jobroom.workflows.picture.layout import Box, Link, layered, ranks_of
from jobroom.workflows.picture.shapes import MOST, draw
from jobroom.workflows.tests.stored import chain, fan, layers, node

BOX = Box(200.0, 50.0)


@st.composite
def graphs(draw_from, most=24):
    """Return a random graph: edges of every condition, groups inside groups."""
    count = draw_from(st.integers(1, most))
    made = []
    for index in range(count):
        parents = draw_from(st.sets(st.integers(0, index - 1), max_size=3)) if index else set()
        group = draw_from(st.lists(st.sampled_from("abc"), max_size=2))
        one = node(index, group=group)
        one.parents = [(parent, draw_from(st.sampled_from(When))) for parent in sorted(parents)]
        made.append(one)
    return Graph(made)


def overlap(a, b):
    return a.x < b.x + b.width and b.x < a.x + a.width and a.y < b.y + b.height and b.y < a.y + a.height


def holds(frame, shape):
    return (
        frame.x <= shape.x and frame.y <= shape.y
        and shape.x + shape.width <= frame.x + frame.width and shape.y + shape.height <= frame.y + frame.height
    )  # fmt: skip


@pytest.mark.long
@settings(max_examples=cases(100, 150))
@given(graphs())
def test_boxes_do_not_overlap_edges_go_forward_and_frames_hold_their_nodes(graph):
    """All of one picture: to draw it is what takes the time."""
    picture = draw(graph)
    has_places(graph, picture)
    has_frames(picture)


def has_places(graph, picture):
    shapes = picture.shapes
    assert not [(a.id, b.id) for at, a in enumerate(shapes) for b in shapes[:at] if overlap(a, b)]
    place = {index: shape for shape in shapes for index in shape.nodes}
    assert set(place) == set(range(len(graph.nodes)))
    for one in graph.nodes:
        for parent, _ in one.parents:
            assert place[parent].x + place[parent].width <= place[one.index].x
    for line in picture.lines:
        assert [x for x, _ in line.points] == sorted(x for x, _ in line.points)


def has_frames(picture):
    for frame in picture.frames:
        for shape in picture.shapes:
            if shape.index in frame.nodes:
                assert holds(frame, shape)
            else:
                assert not overlap(frame, shape)


@settings(max_examples=50)
@given(graphs(), st.sets(st.sampled_from(["g0", "g1", "g2"])))
def test_every_node_is_seen_once_whatever_is_shut(graph, changed):
    seen = [index for shape in draw(graph, changed).shapes for index in shape.nodes]
    assert sorted(seen) == list(range(len(graph.nodes)))


@settings(max_examples=30)
@given(graphs())
def test_the_same_graph_gives_the_same_picture(graph):
    assert draw(graph) == draw(graph)


def test_a_shut_box_stands_for_its_nodes():
    graph = chain(6)
    for one in graph.nodes[2:4]:
        one.group = ["inner"]
    assert [shape.id for shape in draw(graph).frames] == ["g0"]
    shut = draw(graph, {"g0"})
    assert [(shape.kind, shape.nodes) for shape in shut.shapes if shape.id == "g0"] == [("group", (2, 3))]
    assert len(shut.lines) == 4


def test_a_box_that_a_path_leaves_and_enters_again_is_not_framed():
    graph = chain(3)
    graph.nodes[0].group = graph.nodes[2].group = ["torn"]
    picture = draw(graph)
    assert (len(picture.shapes), picture.frames) == (3, [])


def test_handlers_stand_at_the_end():
    graph = chain(3)
    graph.nodes += [node(3), node(4)]
    graph.on_failure, graph.finalizer = 3, 4
    shapes = {shape.id: shape for shape in draw(graph).shapes}
    assert shapes["n3"].x > shapes["n2"].x
    assert (shapes["n3"].hint, shapes["n4"].hint) == ("if something failed", "at the very end")


def test_long_edges_are_led_around_the_boxes():
    links = [Link(0, 1, 25, 25), Link(1, 2, 25, 25), Link(0, 2, 25, 25)]
    picture = layered([BOX, BOX, BOX], links)
    (_, top), route = picture.places[1], picture.routes[2]
    assert len(route) == 4
    assert all(y < top or y > top + 50 for _, y in route[1:3])


def test_a_circle_is_refused():
    with pytest.raises(ValueError, match="circle"):
        ranks_of(2, [(0, 1), (1, 0)])


@pytest.mark.parametrize(
    ("make", "numbers", "bundled"),
    [(layers, (1000, 50), False), (chain, (1000,), False), (fan, (998,), False), (layers, (10_000, 100), True), (chain, (10_000,), True), (fan, (9_998,), True)],
    ids=["layers", "chain", "fan", "many layers", "long chain", "wide fan"],
)  # fmt: skip
def test_large_graphs_are_drawn_with_few_enough_boxes(make, numbers, bundled):
    graph = make(*numbers)  # not while the tests are collected, which each process does
    picture = draw(graph)
    assert picture.bundled is bundled
    assert len(picture.shapes) <= MOST
    assert sum(len(shape.nodes) for shape in picture.shapes) == len(graph.nodes)


def test_a_thousand_nodes_take_no_more_than_a_few_tenths_of_a_second():
    begun = time.process_time()
    draw(layers(1000, 50))
    assert time.process_time() - begun < 2  # measured: 0.2 s; far more means that something grows with its square
