"""The process that an OMS works for: its client, its venue, and how it is started and killed."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from foxtrot.core import events
from foxtrot.core.constants import Direction, OrderType, Status
from foxtrot.core.objects import CancelRequest, OrderData, OrderRequest, TradeData
from tests.chaos.link import Frame, Link
from tests.chaos.venue import CENT, CLOSED, LOT, Report, Venue

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 30.0
"""Seconds that anything may take."""

SYMBOLS = ("GOLD.LOCAL", "RICE.LOCAL")
STRATEGIES = ("trend", "mean", "pairs", "flow")
_RUN = "import socket, sys; from tests.chaos.oms_child import nursery; nursery(socket.socket(fileno=int(sys.argv[1])))"
ENDED = {status.value for status in (*CLOSED, Status.DENIED)}


class Nursery:
    """Starts OMS processes in milliseconds."""

    def __init__(self, environ: dict[str, str] | None = None) -> None:
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.process = subprocess.Popen(
            [sys.executable, "-c", _RUN, str(theirs.fileno())],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(environ or {})},
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        self.control.settimeout(PATIENCE)

    def start(self, path: Path, **options: Any) -> Child:
        """An OMS process on a database file."""
        ours, theirs = socket.socketpair()
        line = json.dumps({"path": str(path), **options}).encode()
        socket.send_fds(self.control, [line], [theirs.fileno()])
        theirs.close()
        pid = int(self.control.recv(64))
        return Child(pid, Link(ours, blocking=False))

    def close(self) -> None:
        self.control.close()
        self.process.wait(PATIENCE)


@contextmanager
def nursery(environ: dict[str, str] | None = None) -> Iterator[Nursery]:
    """A nursery that is closed in the end."""
    one = Nursery(environ)
    try:
        yield one
    finally:
        one.close()


class Child:
    """An OMS process, seen from its other end."""

    def __init__(self, pid: int, link: Link) -> None:
        self.pid = pid
        self.link = link
        self._pidfd = os.pidfd_open(pid)

    def kill(self) -> None:
        """End it at once; what it had sent can still be received."""
        try:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        except ProcessLookupError:
            return  # it has done so itself

    def frames(self, timeout: float) -> list[Frame]:
        """What it has sent; waits for something so long."""
        if self.link.waiting:
            select.select([self.link], [self.link], [], timeout)
            self.link.flush()
        else:
            select.select([self.link], [], [], timeout)
        return self.link.receive()

    def close(self) -> None:
        self.link.close()
        os.close(self._pidfd)


class Client:
    """Sends orders under ids of its own, and remembers what it was told."""

    def __init__(self, rng: Random, prefix: str = "c") -> None:
        self.rng = rng
        self.prefix = prefix
        self.sent: dict[str, OrderRequest] = {}
        self.waiting: dict[str, OrderRequest] = {}
        self.orders: dict[str, OrderData] = {}
        self.trades: dict[str, TradeData] = {}
        self.repeated = 0
        self.fell = 0

    def request(self, least: int = 1) -> OrderRequest:
        """A new order of so many lots at the least."""
        rng = self.rng
        side = rng.choice((Direction.LONG, Direction.SHORT))
        request = OrderRequest(
            rng.choice(SYMBOLS),
            side,
            OrderType.LIMIT,
            rng.randint(least, 30) / LOT,
            (10_000 + rng.randint(-500, 500)) / CENT,
            strategy=rng.choice(STRATEGIES),
            vt_orderid=f"SIM.{self.prefix}-{len(self.sent)}",
        )
        self.sent[request.vt_orderid] = self.waiting[request.vt_orderid] = request
        return request

    def on_order(self, order: OrderData) -> None:
        """An acknowledgement."""
        key = order.vt_orderid
        before = self.orders.get(key)
        if before is not None and (
            order.traded < before.traded
            or (before.status.value in ENDED and order.status is not before.status)
        ):
            self.fell += 1
        self.waiting.pop(key, None)
        self.orders[key] = order

    def on_trade(self, trade: TradeData) -> None:
        """A fill."""
        self.repeated += trade.vt_tradeid in self.trades
        self.trades[trade.vt_tradeid] = trade


class Desk:
    """One account's whole life at one database file, over many lives of the OMS."""

    def __init__(self, nursery: Nursery, path: Path, rng: Random, outcome: str = "") -> None:
        self.nursery = nursery
        self.path = path
        self.rng = rng
        self.venue = Venue(rng, outcome)
        self.client = Client(rng)
        self.child: Child | None = None
        self.errors: list[str] = []
        self.told: Counter[str] = Counter()  # acknowledgements and fills that were told, by topic
        self.answers: list[dict[str, Any]] = []
        self.hold_until = 0.0
        self.questions = 0
        self.repeats = 0.1
        self.clock = time.time_ns
        self.handlers: dict[str, Callable[[Any], None]] = {
            "send": self._on_send,
            "cancel": lambda request: self._report(self.venue.on_cancel(request, self.clock())),
            "query": self._on_query,
            "state": self.answers.append,
            "error": self.errors.append,
            "died": self.errors.append,
            "loaded": self._on_loaded,
            "closed": lambda _: None,
            "life": self._on_life,
            events.EVENT_ORDER: self.client.on_order,
            events.EVENT_TRADE: self.client.on_trade,
        }
        self.loaded: dict[str, Any] | None = None
        self.life: str | None = None

    # --- the line -----------------------------------------------------------------------------------------

    def start(self, **options: Any) -> None:
        """Begin a life."""
        self.loaded = None
        self.questions = 0
        self.child = self.nursery.start(self.path, **options)

    def pump(self, timeout: float) -> bool:
        """Handle what has come; False where the process is gone."""
        child = self.child
        assert child is not None
        if self.questions and (left := self.hold_until - time.monotonic()) <= 0.0:
            self._answer_questions()
        elif self.questions:
            timeout = min(timeout, left)
        for topic, message in child.frames(timeout):
            self.told[topic] += topic in (events.EVENT_ORDER, events.EVENT_TRADE)
            self.handlers[topic](message)
        return not child.link.ended

    def until(self, condition: Callable[[], object], limit: float = PATIENCE) -> None:
        """Handle what comes until something is so."""
        end = time.monotonic() + limit
        while not condition():
            alive = self.pump(0.05)
            assert alive or condition(), f"the OMS is gone: {self.errors}"
            assert time.monotonic() < end, f"it did not come to be within {limit} s: {self.errors}"

    def drain_dead(self) -> None:
        """Take what a dead process had sent; nothing it reports is answered."""
        end = time.monotonic() + PATIENCE
        while self.pump(0.1):
            assert time.monotonic() < end, "it does not die"
        assert self.child is not None
        self.child.close()
        self.child = None
        self.questions = 0

    def kill(self) -> None:
        """End this life in the middle."""
        assert self.child is not None
        self.child.kill()
        self.drain_dead()

    def send(self, topic: str, message: Any = None) -> None:
        """Send the OMS something."""
        assert self.child is not None
        self.child.link.send(topic, message)

    def state(self) -> dict[str, Any]:
        """How everything stands in the OMS."""
        self.answers.clear()
        self.send("probe")
        self.until(lambda: self.answers)
        return self.answers[-1]

    def stalled(self) -> str:
        """Why the OMS cannot save for now; empty where it can. What it says afterwards, it says in that state."""
        self.life = None
        self.send("life")
        self.until(lambda: self.life is not None)
        return self.life or ""

    def _on_life(self, stalled: str) -> None:
        self.life = stalled

    def _on_loaded(self, loaded: dict[str, Any]) -> None:
        self.loaded = loaded

    def _on_send(self, request: OrderRequest) -> None:
        self._report(self.venue.on_request(request, self.clock()))

    def _on_query(self, _message: Any) -> None:
        self.questions += 1

    def _answer_questions(self) -> None:
        self.questions = 0
        self.send("rSnapshot", self.venue.snapshot(self.clock()))

    def _report(self, reports: list[Report]) -> None:
        if self.child is None:
            return
        for report in reports:
            topic = "rOrder" if isinstance(report, OrderData) else "rTrade"
            for _ in range(
                1 + (self.rng.random() < self.repeats)
            ):  # now and then it repeats itself
                self.send(topic, report)

    # --- the load -----------------------------------------------------------------------------------------

    def trade(
        self, seconds: float, rate: float = 1_000.0, window: int = 48, *, to_the_word: bool = False
    ) -> None:
        """Send orders at a rate, and handle what comes, for so long; also a cancel or an old order now and then.

        ``to_the_word`` ends it with the first acknowledgement after that: the moment at which one that was too early
        is found out.
        """
        client, rng = self.client, self.rng
        start = time.monotonic()
        first = len(client.sent)
        while (now := time.monotonic()) < start + seconds or to_the_word:
            told = len(client.orders)
            due = int((now - start) * rate) - (len(client.sent) - first)
            room = window - len(client.waiting)
            for _ in range(min(due, room)):
                self.send("cOrder", client.request())
                if rng.random() < 0.1:
                    self._stir()
            if not self.pump(0.001):
                return
            if now >= start + seconds and len(client.orders) > told:
                return

    def _stir(self) -> None:
        """Cancel something, have an old order fill, or send an old order again."""
        sent = self.client.sent
        vt_orderid = f"SIM.{self.client.prefix}-{self.rng.randrange(len(sent))}"
        chance = self.rng.random()
        order = self.venue.orders.get(vt_orderid)
        if chance < 0.4:
            self.send("cCancel", CancelRequest(vt_orderid))
        elif chance < 0.6 and order is not None and order.status not in CLOSED:
            left = round((order.volume - order.traded) * LOT)
            self._report(self.venue.fill(vt_orderid, self.rng.randint(1, left), self.clock()))
        else:
            self.send("cOrder", sent[vt_orderid])

    def resend(self) -> None:
        """Send again what was never acknowledged."""
        for request in list(self.client.waiting.values()):
            self.send("cOrder", request)

    def settle(self, limit: float = PATIENCE) -> tuple[dict[str, Any], float]:
        """Wait until nothing is in doubt; returns how all stands, and the seconds that it took."""
        start = time.monotonic()
        while True:
            state = self.state()
            if state["clear"] and not any(
                status == "SUBMITTING" for status, *_ in state["orders"].values()
            ):
                return state, time.monotonic() - start
            assert time.monotonic() - start < limit, f"still in doubt: {state}"
            self.pump(0.02)
