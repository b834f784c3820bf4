"""The states of an order and which may follow which: one table, and the check against it.

Invariants: a terminal state is followed by nothing; every other state may end in CANCELLED, EXPIRED or ALLTRADED.

The table (rows are states, entries the states that may follow)::

    SUBMITTING  NOTTRADED TRIGGERED PARTTRADED ALLTRADED CANCELLED REJECTED EXPIRED DENIED UNKNOWN
    NOTTRADED   NOTTRADED TRIGGERED PARTTRADED ALLTRADED CANCELLED REJECTED EXPIRED UNKNOWN
    TRIGGERED   TRIGGERED PARTTRADED ALLTRADED CANCELLED REJECTED EXPIRED UNKNOWN
    PARTTRADED  PARTTRADED ALLTRADED CANCELLED EXPIRED UNKNOWN
    UNKNOWN     every state but SUBMITTING and DENIED
    the others  nothing
"""

from __future__ import annotations

from foxtrot.core.constants import Status
from foxtrot.core.errors import InvalidTransitionError
from foxtrot.core.objects import OrderData

SUBMITTING = Status.SUBMITTING
NOTTRADED = Status.NOTTRADED
TRIGGERED = Status.TRIGGERED
PARTTRADED = Status.PARTTRADED
ALLTRADED = Status.ALLTRADED
CANCELLED = Status.CANCELLED
REJECTED = Status.REJECTED
EXPIRED = Status.EXPIRED
DENIED = Status.DENIED
UNKNOWN = Status.UNKNOWN

TRANSITIONS: dict[Status, frozenset[Status]] = {
    SUBMITTING: frozenset(
        {
            NOTTRADED,
            TRIGGERED,
            PARTTRADED,
            ALLTRADED,
            CANCELLED,
            REJECTED,
            EXPIRED,
            DENIED,
            UNKNOWN,
        }
    ),
    NOTTRADED: frozenset(
        {NOTTRADED, TRIGGERED, PARTTRADED, ALLTRADED, CANCELLED, REJECTED, EXPIRED, UNKNOWN}
    ),
    TRIGGERED: frozenset({TRIGGERED, PARTTRADED, ALLTRADED, CANCELLED, REJECTED, EXPIRED, UNKNOWN}),
    PARTTRADED: frozenset({PARTTRADED, ALLTRADED, CANCELLED, EXPIRED, UNKNOWN}),
    UNKNOWN: frozenset(
        {
            NOTTRADED,
            TRIGGERED,
            PARTTRADED,
            ALLTRADED,
            CANCELLED,
            REJECTED,
            EXPIRED,
            UNKNOWN,
        }
    ),
    ALLTRADED: frozenset(),
    CANCELLED: frozenset(),
    REJECTED: frozenset(),
    EXPIRED: frozenset(),
    DENIED: frozenset(),
}


def check_transition(order: OrderData, to: Status) -> None:
    """Refuse a move that the table does not have.

    Raises:
        InvalidTransitionError: with the order's whole story.
    """
    if to not in TRANSITIONS[order.status]:
        raise InvalidTransitionError(
            f"order {order.vt_orderid} cannot go from {order.status.value} to {to.value}; it stands as {order}"
        )
