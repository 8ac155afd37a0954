"""`@resource`: a loader with a name, the queues whose workers hold it, and its options."""

import dataclasses
import inspect
import typing
from collections.abc import Callable, Sequence
from typing import Any, Generic, Literal, TypeVar, cast

from jobroom.resources.access import current
from jobroom.resources.registry import declared

T = TypeVar("T")

# What waits while a resource cannot be loaded: its whole queues, or only the jobs that need it.
Holds = Literal["queues", "jobs"]


@dataclasses.dataclass(frozen=True, eq=False)
class Resource(Generic[T]):
    """A declared resource, what `@resource` makes of its loader; `get()` is the object, with the loader's type.

    As a mark in `Annotated[SpamModel, Resource]` it says that a task's parameter is filled with the resource of its name.
    """

    name: str
    loader: Callable[..., T]
    queues: tuple[str, ...]
    version: Callable[[], Any] | None = None
    health: Callable[[T], Any] | None = None
    sizeof: Callable[[T], int] | None = None
    idle_unload: float | None = None
    share: bool = False
    holds: Holds = "queues"

    def get(self) -> T:
        """Return the object as this process has it; raise ResourceNotHere outside a worker, ResourceNotReady before it is loaded."""
        return cast("T", current(self.name))

    def load(self, version: str | None) -> T:
        """Run the loader, with the version if it takes one; raises whatever the loader raises."""
        return self.loader(version=version) if _takes_version(self.loader) else self.loader()

    def current_version(self) -> str | None:
        """Return the version that should be loaded, None for a resource without versions."""
        said = self.version() if self.version is not None else None
        return None if said is None else str(said)

    @property
    def description(self) -> str:
        """The first line of the loader's docstring."""
        return (inspect.getdoc(self.loader) or "").partition("\n")[0]


def _takes_version(loader: Callable[..., Any]) -> bool:
    parameters = inspect.signature(loader).parameters
    return "version" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def resource(
    name: str,
    *,
    queues: Sequence[str],
    version: Callable[[], Any] | None = None,
    health: Callable[[Any], Any] | None = None,
    sizeof: Callable[[Any], int] | None = None,
    idle_unload: float | None = None,
    share: bool = False,
    holds: Holds = "queues",
) -> Callable[[Callable[..., T]], Resource[T]]:
    """Declare the decorated function as the loader of the resource `name`.

    Workers of `queues` load it before their first job. `version()` is cheap and asked every RESOURCE_CHECK seconds:
    another answer loads again, and the loader gets it if it has a parameter `version`. `health(object)` raises, or returns
    False or a text, when the object is no good any more. `sizeof(object)` is its size in bytes; without it the growth of the
    process is. `idle_unload` is the seconds without use after which the object is dropped until the next job. With
    `share` prefork children get it by fork and share its memory. While it cannot be loaded `holds` says what waits: the
    whole "queues", or only the "jobs" that need it. Raises ValueError for what cannot be.
    """
    if isinstance(queues, str) or not queues:
        raise ValueError(f'The resource {name} needs the names of its queues as a list: queues=["ml"].')
    if not name.isidentifier():
        raise ValueError(f"The resource {name!r} needs a name that can be an attribute of a task.")
    if share and idle_unload is not None:
        raise ValueError(f"The resource {name} is shared by fork, so it cannot be unloaded: drop share or idle_unload.")
    if idle_unload is not None and idle_unload <= 0:
        raise ValueError(f"idle_unload of the resource {name} is in seconds and above zero.")
    if holds not in {"queues", "jobs"}:
        raise ValueError(f'holds of the resource {name} is "queues" or "jobs".')

    def declare(loader: Callable[..., T]) -> Resource[T]:
        known = declared.get(name)
        if known is not None and _place(known.loader) != _place(loader):
            raise ValueError(f"The resource {name} is declared twice: {_place(known.loader)} and {_place(loader)}.")
        made = Resource(name, loader, tuple(queues), version, health, sizeof, idle_unload, share, holds)
        declared[name] = made
        return made

    return declare


def _place(loader: Callable[..., Any]) -> str:
    return f"{loader.__module__}.{getattr(loader, '__qualname__', loader)}"


def marked_parameters(run: Callable[..., Any]) -> tuple[str, ...]:
    """Return the parameters of `run` that are marked to be filled with a resource."""
    try:
        hints = typing.get_type_hints(run, include_extras=True)
    except (NameError, TypeError):
        return ()
    return tuple(name for name, hint in hints.items() if is_marked(hint))


def is_marked(hint: Any) -> bool:
    """Return whether an annotation says `Annotated[…, Resource]`."""
    return any(mark is Resource or isinstance(mark, Resource) for mark in getattr(hint, "__metadata__", ()))
