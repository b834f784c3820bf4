"""How long until an order is acknowledged: from the moment that another process sends it to its first ``EVENT_ORDER``.

A second process sends requests at a steady pace through a local socket, whatever comes back; the OMS runs the loop of
a service, polling that socket. Each request carries the monotonic time at which it was sent. Where orders are also
accepted and filled at once, an order makes two commits where it is alone. Beside it stands what the disk takes for one
fsync of 4 KiB, measured just before and after at the same pace.
"""

from __future__ import annotations

import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace
from oms_desk import LIVES, Desk, request_of

from foxtrot.bus.loop import SocketWaiter
from foxtrot.core import events
from foxtrot.core.clock import LiveClock
from foxtrot.core.constants import NS_PER_SECOND, Status
from foxtrot.core.errors import FoxtrotError
from foxtrot.core.objects import OrderData, OrderRequest, TimerData
from foxtrot.server.persistence_query import MAX_LIMIT, Page, PageQuery

RATES = (100, 1_000, 5_000)
QUERY_RATE = 500
QUERIES_PER_S = 20
WINDOW_NS = NS_PER_SECOND // 2
QUERY_GOAL_MS = 2.0
WARM_UP = 0.1
"""Part of the orders that is not counted."""

_BUFFER = 1 << 23
_BATCH = 256
_FSYNCS = 200
_ENCODE = msgspec.msgpack.Encoder().encode
_DECODER = msgspec.msgpack.Decoder(OrderRequest)


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds; ``achieved`` orders/s were acknowledged, ``orders_per_commit`` on average."""

    life: str
    offered: int
    orders: int
    achieved: float
    p50_ms: float
    p99_ms: float
    fsync_p50_ms: float
    fsync_p99_ms: float
    orders_per_commit: float


@dataclass(frozen=True, slots=True)
class Disturbance:
    """Milliseconds of the order path without and with a stream of queries: medians over windows of half a second.

    ``rise_ms`` is that of the p99 from one window to the next. ``slice``: processor time for which a part of a page
    keeps the loop.
    """

    offered: int
    pages: int
    quiet_p50_ms: float
    asked_p50_ms: float
    quiet_p99_ms: float
    asked_p99_ms: float
    rise_ms: float
    slice_p50_ms: float
    slice_p99_ms: float
    goal_ms: float = QUERY_GOAL_MS

    @property
    def met(self) -> bool:
        """Whether the goal is reached."""
        return self.rise_ms < self.goal_ms


class Feed:
    """The OMS's end of the socket, and the process at the other one."""

    def __init__(self, desk: Desk, waiter: SocketWaiter) -> None:
        self._desk, self._waiter = desk, waiter
        self._stamps: list[tuple[int, int]] = []
        self._end, self._far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._far.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        self._end.setblocking(False)
        waiter.add(self._end.fileno(), self._receive)
        desk.event_engine.subscribe(events.EVENT_ORDER, self._acknowledged)

    @property
    def seconds(self) -> float:
        """From the first order to the last acknowledgement."""
        return (self._stamps[-1][1] - self._stamps[0][0]) / NS_PER_SECOND

    def counted(self) -> list[tuple[int, int]]:
        """When each order was sent and acknowledged (monotonic ns), without the warm-up."""
        return self._stamps[int(len(self._stamps) * WARM_UP) :]

    def run(self, life: str, rate: int, orders: int) -> None:
        """Have so many orders sent, and run the loop until all are dealt with."""
        number = self._far.fileno()
        run = Path(__file__).with_name("oms.py")
        command = [sys.executable, str(run), "--child", "send", str(number), life, str(rate)]
        with subprocess.Popen([*command, str(orders)], pass_fds=[number]) as sender:
            self._far.close()
            self._desk.event_engine.run()
            if sender.wait() or len(self._stamps) != orders:
                raise SystemExit(f"{len(self._stamps)} of {orders} orders were acknowledged")
        self._end.close()

    def _receive(self) -> None:
        submit = self._desk.oms.submit
        for _ in range(_BATCH):
            try:
                frame = self._end.recv(65_536)
            except BlockingIOError:
                return
            if not frame:
                self._waiter.remove(self._end.fileno())
                self._desk.event_engine.stop()
                return
            submit(_DECODER.decode(frame), "SIM")

    def _acknowledged(self, order: OrderData) -> None:
        if order.status is Status.SUBMITTING:
            sent = int(order.reference.partition(" ")[2])
            self._stamps.append((sent, time.monotonic_ns()))


class Queries:
    """A reader of history who comes and goes: 20 pages a second for half a second, then half a second of quiet."""

    def __init__(self, desk: Desk) -> None:
        self._oms = desk.oms
        self._cursors = ["", ""]
        self._begun = time.monotonic_ns()
        self.pages = 0
        self.slices: list[int] = []
        store: Any = desk.db
        store.orders_page = self._timed(store.orders_page)
        store.trades_page = self._timed(store.trades_page)
        clock = desk.event_engine.clock
        clock.set_interval("bench.queries", NS_PER_SECOND // QUERIES_PER_S, self._ask)

    def window(self, at: int) -> int:
        """Number of the window at a monotonic time; pages are asked for in the odd ones."""
        return (at - self._begun) // WINDOW_NS

    def _timed(self, fetch: Callable[[PageQuery], Page[Any]]) -> Callable[[PageQuery], Page[Any]]:
        def timed(query: PageQuery) -> Page[Any]:
            began = time.thread_time_ns()
            page = fetch(query)
            self.slices.append(time.thread_time_ns() - began)
            return page

        return timed

    def _ask(self, _timer: TimerData) -> None:
        if self.window(time.monotonic_ns()) % 2 == 0:
            return
        place = self.pages % 2
        query = PageQuery(limit=MAX_LIMIT, cursor=self._cursors[place])
        later = self._oms.trades_page_later if place else self._oms.orders_page_later
        later(query, lambda page: self._answered(page, place))
        self.pages += 1

    def _answered(self, page: Page[Any] | FoxtrotError, place: int) -> None:
        if isinstance(page, FoxtrotError):
            raise SystemExit(str(page))
        self._cursors[place] = page.cursor


def measure(path: Path, life: str, rate: int, seconds: float) -> Latency:
    """Offer ``rate`` orders a second for so long to an OMS on the database ``path``."""
    orders = max(200, int(rate * seconds))
    fsyncs = fsync_latencies(path.parent, rate)
    clock = LiveClock()
    waiter = SocketWaiter(clock)
    desk = Desk(path, clock, waiter).open()
    before = desk.oms.commits
    feed = Feed(desk, waiter)
    feed.run(life, rate, orders)
    commits = desk.oms.commits - before
    desk.close()
    fsyncs += fsync_latencies(path.parent, rate)
    taken, fsyncs = sorted(end - start for start, end in feed.counted()), sorted(fsyncs)
    return Latency(
        life,
        rate,
        orders,
        round(orders / feed.seconds, 1),
        _ms(taken, 0.5),
        _ms(taken, 0.99),
        _ms(fsyncs, 0.5),
        _ms(fsyncs, 0.99),
        round(orders / commits, 2),
    )


def measure_queries(source: Path, folder: Path, seconds: float) -> Disturbance:
    """The order path with and without queries, in turn, on a copy of a database with a past."""
    path = folder / "queries.db"
    for suffix in ("", ".hwm"):
        shutil.copy(f"{source}{suffix}", f"{path}{suffix}")
    clock = LiveClock()
    waiter = SocketWaiter(clock)
    desk = Desk(path, clock, waiter).open()
    feed, queries = Feed(desk, waiter), Queries(desk)
    feed.run("submitted", QUERY_RATE, int(QUERY_RATE * seconds))
    desk.close()
    windows: dict[int, list[int]] = {}
    for start, end in feed.counted():
        windows.setdefault(queries.window(start), []).append(end - start)
    quiet, asked = _pairs(windows)
    slices = sorted(queries.slices)
    return Disturbance(
        QUERY_RATE,
        queries.pages,
        statistics.median(_ms(taken, 0.5) for taken in quiet),
        statistics.median(_ms(taken, 0.5) for taken in asked),
        statistics.median(_ms(taken, 0.99) for taken in quiet),
        statistics.median(_ms(taken, 0.99) for taken in asked),
        round(_rise(quiet, asked), 3),
        _ms(slices, 0.5),
        _ms(slices, 0.99),
    )


def _pairs(windows: dict[int, list[int]]) -> tuple[list[list[int]], list[list[int]]]:
    """Each window without queries and the one after it, with them; sorted latencies."""
    both = [at for at in windows if at % 2 == 0 and at + 1 in windows]
    return [sorted(windows[at]) for at in both], [sorted(windows[at + 1]) for at in both]


def _rise(quiet: list[list[int]], asked: list[list[int]]) -> float:
    """Median over neighbours, so that what else the machine does falls out."""
    pairs = zip(quiet, asked, strict=True)
    return statistics.median(_ms(after, 0.99) - _ms(before, 0.99) for before, after in pairs)


def fsync_latencies(folder: Path, rate: int) -> list[int]:
    """Nanoseconds that it takes to append 4 KiB and bring them to the disk, at a pace."""
    path = folder / "fsync"
    handle = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    sync: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)
    page, taken = bytes(4_096), []
    try:
        for _ in range(min(_FSYNCS, rate)):
            began = time.monotonic_ns()
            os.write(handle, page)
            sync(handle)
            taken.append(time.monotonic_ns() - began)
            time.sleep(max(0.0, 1.0 / rate - taken[-1] / NS_PER_SECOND))
    finally:
        os.close(handle)
        path.unlink()
    return taken


def _ms(taken: list[int], part: float) -> float:
    return round(taken[min(len(taken) - 1, int(len(taken) * part))] / 1e6, 3)


# --- in the child -----------------------------------------------------------------------------------------


def send(handle: str, life: str, rate: str, orders: str) -> dict[str, float]:
    """Send so many requests at a pace through the socket with this descriptor."""
    end = socket.socket(fileno=int(handle))
    pause = NS_PER_SECOND // int(rate)
    begun = time.monotonic_ns() + NS_PER_SECOND // 10
    for number in range(int(orders)):
        due = begun + number * pause
        now = time.monotonic_ns()
        if due > now:
            time.sleep((due - now) / NS_PER_SECOND)
        request = request_of(number, LIVES[life], f"l{os.getpid()}")
        stamped = replace(request, reference=f"{LIVES[life]} {time.monotonic_ns()}")
        end.send(_ENCODE(stamped))
    end.close()
    return {}
