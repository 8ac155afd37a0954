"""The states of nodes stand in Python; Lua is given them, and the pages' scripts say the same."""

import re
from pathlib import Path

import jobroom.workflows
from jobroom.workflows.engine.keys import BAD, ENDED, GOOD, NODE_STATES, NodeState
from jobroom.workflows.explanations import LOOKS

FOLDER = Path(jobroom.workflows.__file__).parent
SCRIPTS = FOLDER / "static/jobroom/js"


def test_the_pages_know_the_same_states():
    """Names, their characters, and which of them are ends."""
    text = (SCRIPTS / "node-states.js").read_text()
    assert dict(re.findall(r"^  ([A-Z_]+): \"(\w)\",$", text, re.MULTILINE)) == NodeState.__members__
    ended = re.search(r"ENDED = \[([^\]]*)\]", text)
    assert {NodeState[name] for name in re.findall(r"STATE\.([A-Z_]+)", ended[1])} == ENDED


def test_no_script_of_a_page_writes_a_state_out():
    """A state written out in JavaScript would stay when Python's changes."""
    states = "".join(NodeState)
    for path in (SCRIPTS / "workflow.js", SCRIPTS / "workflow-graph.js"):
        assert not re.search(
            rf"[=!]== \"[{states}]\"|node_states\S* (?:=|!)==? \"|\"[{states}]+\"\.includes", path.read_text()
        ), path


def test_no_lua_script_writes_a_state_out():
    """What is compared with a state, or becomes one, is named; a character in front of `..` is the name of a field."""
    state = re.compile(rf"(?<!\.\. )'[{''.join(NodeState)}]'(?! \.\.)")
    for path in (FOLDER / "engine/lua").glob("*.lua"):
        code = [
            line for line in path.read_text().splitlines() if not line.lstrip().startswith("--") and "XADD" not in line
        ]
        assert [line for line in code if state.search(line)] == [], path


def test_every_state_has_a_look_and_the_groups_are_made_of_states():
    """Nothing on a page is without a word; what is good or bad has ended."""
    assert set(LOOKS) == set(NodeState)
    assert GOOD | BAD < ENDED
    assert set(NODE_STATES.values()) < set(NodeState)
