"""Topics, events and handlers: what the event engine deals in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Event(NamedTuple):
    """A topic and the message that goes with it."""

    type: str
    data: Any = None


Handler = Callable[[Event], object]
MessageHandler = Callable[[Any], object]


class HandlerError(NamedTuple):
    """What ``EVENT_ERROR`` carries: who failed on what, and how."""

    topic: str
    handler: str
    message: Any
    error: Exception
    traceback: str


class Topic:
    """A topic's name and its resolved handlers, kept up to date by the engine that made it."""

    __slots__ = ("handlers", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.handlers: tuple[MessageHandler, ...] = ()


class Registration(NamedTuple):
    """A handler as registered (the key to unregister it) and as called (with the message)."""

    order: int
    handler: Callable[..., object]
    call: Callable[[str], MessageHandler]


def with_event(handler: Handler) -> Callable[[str], MessageHandler]:
    """Give a handler its messages as ``Event``, under the handler's own name (errors tell it)."""

    def of_topic(name: str) -> MessageHandler:
        def call(message: Any) -> object:
            return handler(Event(name, message))

        call.__qualname__ = name_of(handler)
        return call

    return of_topic


def name_of(handler: Callable[..., object]) -> str:
    """What a handler is called in a log."""
    return str(getattr(handler, "__qualname__", repr(handler)))


def bare_topic(name: str) -> str:
    """The bare topic of a name: up to and including the first dot."""
    head, dot, _ = name.partition(".")
    return head + dot
