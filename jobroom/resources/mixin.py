"""The mixin that gives a task class its resources."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, ClassVar

from jobroom.resources import access
from jobroom.resources.declaration import Resource, marked_parameters
from jobroom.resources.exceptions import ResourceNotReady
from jobroom.resources.requeue import wait_for_resource


class ResourcesMixin:
    """Gives a task the resources that it names, as attributes of itself and as marked arguments."""

    request: Any
    run: Any
    resources: Any = ()  # names, or declared resources; one or several
    filled_in: ClassVar[tuple[str, ...]] = ()  # parameters of `run` that get a resource

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Complete the option `resources` with the marked parameters, which callers then need not give."""
        super().__init_subclass__(**kwargs)
        run = vars(cls).get("run")
        if run is not None:
            function = getattr(run, "__func__", run)
            cls.filled_in = marked_parameters(function)
            if cls.filled_in and "__header__" in vars(cls):
                header = _header(function, cls.filled_in, bound=not isinstance(run, staticmethod))
                cls.__header__ = staticmethod(header)  # type: ignore[attr-defined]
        cls.resources = tuple(dict.fromkeys([*_names(cls.resources), *cls.filled_in]))

    def __getattr__(self, name: str) -> Any:
        """Return the resource `name`, if the task says that it uses it: in a job the object that the job began with."""
        if name.startswith("_") or name not in type(self).resources:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        in_hand = getattr(self.request, "resources", None) or {}
        return in_hand[name] if name in in_hand else access.current(name)

    def missing_resources(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the objects for marked parameters that a direct call does not give itself."""
        return {name: access.current(name) for name in self.filled_in if name not in kwargs}

    def run_with_resources(self, args: Iterable[Any], kwargs: Mapping[str, Any]) -> Any:
        """Run the job with its resources in hand; without one of them it goes back to its queue."""
        if not self.resources:
            return self.run(*args, **kwargs)
        with ExitStack() as stack:
            try:
                objects = stack.enter_context(access.in_hand(self.resources))
            except ResourceNotReady as why:
                wait_for_resource(self, why)
                raise
            self.request.resources = objects
            return self.run(*args, **{**kwargs, **{name: objects[name] for name in self.filled_in}})


def _names(option: Any) -> list[str]:
    several = [option] if isinstance(option, str | Resource) else option
    return [part.name if isinstance(part, Resource) else str(part) for part in several]


def _header(run: Callable[..., Any], marked: Sequence[str], *, bound: bool) -> Callable[..., None]:
    """Return what Celery checks the arguments of a call against: the signature of `run` without what is filled in."""
    signature = inspect.signature(run)
    parameters = [p for name, p in signature.parameters.items() if name not in marked]
    rest = signature.replace(parameters=parameters[1:] if bound else parameters)

    def check(*args: Any, **kwargs: Any) -> None:
        rest.bind(*args, **kwargs)

    return check
