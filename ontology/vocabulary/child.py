"""The child process in which foreign ontologies are read: `jobroom.sandbox` starts it.

Its request is `{"source", "format", "target"}` beside the limits; its answer what the index counts and what the file says of itself.
"""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from jobroom.sandbox.child import say, serve


def work(request: dict[str, Any]) -> dict[str, Any]:
    """Read the file, and write its index to the target."""
    from ontology.vocabulary import builder, parser

    say(progress=[0, 3, "Reading"])
    terms, meta = parser.read(Path(request["source"]), request["format"])
    say(progress=[1, 3, f"{len(terms):,} terms"])
    counts = builder.build(Path(request["target"]), terms, meta, lambda *step: say(progress=step))
    say(progress=[3, 3, f"{len(terms):,} terms are indexed"])
    return {**counts, **meta}


if __name__ == "__main__":
    serve(work)
