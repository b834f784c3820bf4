"""One step of the OMS: what a group of messages has changed, and what waits until that is durable.

Invariants: rows and facts of a step are committed in one transaction; its effects (events to publish, requests to
send) are released after it, in their order, or never. Messages are kept with the step, so that those of one that
could not be committed can be folded again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from foxtrot.core.objects import OrderData, OrderRequest, TradeData
from foxtrot.core.topics import Topic
from foxtrot.server.journal.codec import Fact

MAX_FACTS = 256
"""Facts after which a step is committed although more messages wait."""


class Ordered(NamedTuple):
    """A request whose sender waits for an answer.

    ``answer`` is called with the order once it is durable, ``refuse`` with the reason where there is none.
    """

    request: OrderRequest
    answer: Callable[[OrderData], object]
    refuse: Callable[[str], object]


class OmsStep:
    """Rows by key (of several the last counts), facts by stream, effects, and the messages behind them.

    Streams: ``s/<strategy>`` has a strategy's orders and fills; ``positions``, ``accounts``, ``contracts`` and
    ``control`` the rest.
    """

    __slots__ = ("effects", "facts", "messages", "rows")

    def __init__(self) -> None:
        self.rows: dict[str, Any] = {}
        self.facts: list[tuple[str, Fact]] = []
        self.effects: list[tuple[Topic, Any]] = []
        self.messages: list[tuple[str, Any]] = []

    def note_order(self, order: OrderData) -> None:
        """An order's new state."""
        self.rows["orders/" + order.vt_orderid] = order
        self.facts.append(("s/" + order.strategy, order))

    def note_trade(self, trade: TradeData) -> None:
        """A new fill."""
        self.rows["trades/" + trade.vt_tradeid] = trade
        self.facts.append(("s/" + trade.strategy, trade))

    def note(self, key: str, row: Any, stream: str, fact: Fact) -> None:
        """Any other row and the fact behind it."""
        self.rows[key] = row
        self.facts.append((stream, fact))

    def clear(self) -> None:
        """Begin the next step; the lists are new ones, so whoever was given the old ones keeps them."""
        self.rows = {}
        self.facts = []
        self.effects.clear()
        self.messages.clear()
