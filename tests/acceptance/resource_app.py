"""Tasks with resources that a test steers by files; `celery -A tests.acceptance.resource_app`."""

import os
import time
from pathlib import Path
from typing import Annotated, Any

from image.celery import app
from jobroom.resources import Resource, resource
from jobroom.tasks import BaseTask

__all__ = ["app"]

FOLDER = Path(os.environ.get("RESOURCE_FOLDER", "."))


class Model:
    """A pretended model: it knows its version and who loaded it."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.loader = os.getpid()
        self.number = len(loads()) + 1


def loads() -> list[str]:
    """Return one line for each load that was tried."""
    path = FOLDER / "loads"
    return path.read_text().splitlines() if path.exists() else []


def _version() -> str:
    path = FOLDER / "version"
    return path.read_text().strip() if path.exists() else "1"


def _load(name: str, version: str) -> Model:
    model = Model(version)
    with (FOLDER / "loads").open("a") as out:
        out.write(f"{name} {version} {os.getpid()}\n")
    while (FOLDER / f"{name}-is-slow").exists():
        time.sleep(0.02)
    if (FOLDER / f"{name}-is-broken").exists():
        raise OSError(f"no such model: {name}")
    return model


def _health(model: Model) -> str:
    return "poisoned" if (FOLDER / f"poison-{model.version}").exists() else ""


@resource("shared_model", queues=["shared"], version=_version, share=True, health=_health)
def shared_model(version: str) -> Model:
    """Loaded before the fork."""
    return _load("shared_model", version)


@resource("own_model", queues=["own"], version=_version, health=_health, sizeof=lambda model: 1234)
def own_model(version: str) -> Model:
    """Loaded by each child."""
    return _load("own_model", version)


@resource("idle_model", queues=["idle"], idle_unload=1)
def idle_model() -> Model:
    """Dropped after a second."""
    return _load("idle_model", "0")


@resource("picky_model", queues=["mixed"], holds="jobs")
def picky_model() -> Model:
    """When it is broken, other jobs of its queue go on."""
    return _load("picky_model", "0")


def _described(model: Model) -> dict[str, Any]:
    return {"version": model.version, "loader": model.loader, "pid": os.getpid()}


@app.task(bind=True, name="res.shared", resources=("shared_model",))
def shared(self: Any) -> dict[str, Any]:
    """Return what the task sees."""
    return _described(self.shared_model)


@app.task(bind=True, name="res.own", resources=("own_model",))
def own(self: Any) -> dict[str, Any]:
    """Return what the task sees."""
    return _described(self.own_model)


@app.task(bind=True, name="res.idle", resources=("idle_model",))
def idle(self: Any) -> dict[str, Any]:
    """Return what the task sees."""
    return _described(self.idle_model)


@app.task(name="res.argument")
def argument(first: int, own_model: Annotated[Model, Resource], second: int = 2) -> list[Any]:
    """Take the resource as an argument, between two others."""
    return [first, own_model.version, second]


@app.task(bind=True, name="res.picky", resources=("picky_model",))
def picky(self: Any) -> dict[str, Any]:
    """Return what the task sees."""
    return _described(self.picky_model)


@app.task(name="res.simple")
def simple() -> str:
    """Need nothing."""
    return "done"


class Long(BaseTask):
    """Run until a file appears, and return the version before and after."""

    name = "res.long"
    resources = ("own_model",)
    own_model: Model

    def run(self, go: str) -> list[str]:
        """Wait for `go`."""
        before = self.own_model.version
        Path(f"{go}.began").touch()
        while not Path(go).exists():
            time.sleep(0.02)
        return [before, self.own_model.version]


class LongShared(BaseTask):
    """The same with the model that was loaded before the fork."""

    name = "res.long_shared"
    resources = ("shared_model",)
    shared_model: Model

    def run(self, go: str) -> list[str]:
        """Wait for `go`."""
        before = self.shared_model.version
        Path(f"{go}.began").touch()
        while not Path(go).exists():
            time.sleep(0.02)
        return [before, self.shared_model.version]


app.tasks.register(Long())
app.tasks.register(LongShared())
