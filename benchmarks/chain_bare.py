"""The limit: the same hops by plain pyzmq sockets and msgpack, three processes, and no more than must be done.

A tick is published (PUB/SUB), the strategy's process makes an order of it (DEALER/ROUTER), the OMS's process writes it
down and hands it on (DEALER/ROUTER), the venue's process sends it back filled, the OMS's process writes that down and
publishes it (PUB/SUB). Nobody checks, resends, numbers, judges or acknowledges anything.

With ``all`` commits each process writes at the points at which Foxtrot does: the strategy's what it decided before
that leaves, and what it read; the OMS's the order before that leaves, and the fill before that is published. With
``one`` the OMS's process writes the order, and nothing else is written. Whatever waits in the sockets shares a commit
in both. SQLite in WAL mode with ``synchronous=FULL``.
"""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped, unused-ignore]
import zmq
from chain_link import FACTS, PRICE, SYMBOL, Pacer, Report, post

ALL, ONE = "all", "one"
POLL_MS = 50
pack: Callable[[Any], bytes] = msgpack.packb
unpack: Callable[[bytes], Any] = msgpack.unpackb
Socket = zmq.Socket[bytes]

_PUT_ORDER = "INSERT OR REPLACE INTO orders VALUES (?, ?)"


class Ends:
    """The sockets of one process, named as they are connected."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._context: zmq.Context[Socket] = zmq.Context()
        self.poller = zmq.Poller()

    def open(self, kind: int, name: str, *, bind: bool, polled: bool = True) -> Socket:
        """Bind or connect a socket without a bound on its queues."""
        socket: Socket = self._context.socket(kind)
        socket.set(zmq.LINGER, 0)
        socket.set(zmq.SNDHWM, 0)
        socket.set(zmq.RCVHWM, 0)
        if kind == zmq.SUB:
            socket.subscribe(b"")
        (socket.bind if bind else socket.connect)(f"ipc://{self._folder}/{name}.sock")
        if polled:
            self.poller.register(socket, zmq.POLLIN)
        return socket


def drain(socket: Socket) -> list[list[bytes]]:
    """All messages that wait."""
    found: list[list[bytes]] = []
    try:
        while True:
            found.append(socket.recv_multipart(zmq.NOBLOCK))
    except zmq.Again:
        return found


class File:
    """A database in which rows are written until ``commit``, where the process keeps one."""

    def __init__(self, path: Path | None) -> None:
        self.commits = 0
        self._db = sqlite3.connect(path, isolation_level=None) if path is not None else None
        self._begun = False
        if self._db is not None:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("CREATE TABLE orders (id TEXT PRIMARY KEY, body BLOB) WITHOUT ROWID")
            self._db.execute("CREATE TABLE trades (id TEXT PRIMARY KEY, body BLOB) WITHOUT ROWID")

    def write(self, sql: str, row: tuple[Any, ...]) -> None:
        """Run a statement in the transaction that is open, or in a new one."""
        if self._db is None:
            return
        if not self._begun:
            self._begun = True
            self._db.execute("BEGIN IMMEDIATE")
        self._db.execute(sql, row)

    def commit(self) -> None:
        """End the transaction, if there is one."""
        if self._db is not None and self._begun:
            self._begun = False
            self._db.execute("COMMIT")
            self.commits += 1


def venue(folder: Path, _commits: str) -> None:
    """Publish ticks at a pace; accept and fill each order at once."""
    ends, pacer = Ends(folder), Pacer(folder)
    ticks = ends.open(zmq.PUB, "ticks", bind=True, polled=False)
    orders = ends.open(zmq.ROUTER, "venue", bind=True)
    ends.poller.register(pacer.mailbox.fileno(), zmq.POLLIN)
    while True:
        wait = pacer.wait_ns()
        ready = dict(ends.poller.poll(POLL_MS if wait is None else -(-wait // 1_000_000)))
        if pacer.mailbox.fileno() in ready:
            pacer.look()
        for _ in range(pacer.due()):
            now = time.time_ns()
            ticks.send(pack(["Tick", SYMBOL, now, PRICE, PRICE + 0.01, 1.0, 1.0, PRICE, now]))
        for peer, frame in drain(orders) if orders in ready else ():
            order = unpack(frame)
            now = time.time_ns()
            order[5], trade = "NOTTRADED", ["Trade", f"t-{order[1]}", *order[1:5], now, order[6]]
            orders.send_multipart([peer, pack([order, trade])])


def oms(folder: Path, commits: str) -> None:
    """Write each order down, hand it on; write each fill down, publish it."""
    ends, file = Ends(folder), File(folder / "oms.db")
    requests = ends.open(zmq.ROUTER, "oms", bind=True)
    facts = ends.open(zmq.PUB, "facts", bind=True, polled=False)
    venue = ends.open(zmq.DEALER, "venue", bind=False)
    told = time.monotonic()
    while True:
        ready = dict(ends.poller.poll(POLL_MS))
        orders = [frame for _, frame in drain(requests)] if requests in ready else []
        reports = [frame for (frame,) in drain(venue)] if venue in ready else []
        for frame in orders:
            file.write(_PUT_ORDER, (unpack(frame)[1], frame))
        for frame in reports if commits == ALL else ():
            order, trade = unpack(frame)
            order[5] = "ALLTRADED"
            file.write(_PUT_ORDER, (order[1], pack(order)))
            file.write("INSERT INTO trades VALUES (?, ?)", (trade[1], pack(trade)))
        file.commit()
        for frame in orders:
            venue.send(frame)
            if commits == ALL:
                facts.send(pack([unpack(frame), None]))
        for frame in reports:
            facts.send(frame)
        if time.monotonic() - told > 0.25:
            told = time.monotonic()
            post(folder / FACTS, {"oms_commits": file.commits})


def strategy(folder: Path, commits: str) -> None:
    """An order a tick; the end of the chain is the fill."""
    ends, report = Ends(folder), Report(folder)
    file = File(folder / "strategy.db" if commits == ALL else None)
    ticks = ends.open(zmq.SUB, "ticks", bind=False)
    facts = ends.open(zmq.SUB, "facts", bind=False)
    oms = ends.open(zmq.DEALER, "oms", bind=False)
    while True:
        ready = dict(ends.poller.poll(POLL_MS))
        out = []
        for (frame,) in drain(ticks) if ticks in ready else ():
            report.ticks += 1
            side = "LONG" if report.ticks % 2 else "SHORT"
            row = ["Order", f"SIM.s-{report.ticks:08}", SYMBOL, side, PRICE, "SUBMITTING"]
            out.append((row[1], pack([*row, str(unpack(frame)[2]), 1.0, "strategy", "LIMIT"])))
            file.write(_PUT_ORDER, out[-1])
        for (frame,) in drain(facts) if facts in ready else ():
            order, trade = unpack(frame)
            if trade is not None:
                report.fill(int(trade[7]))
            file.write(_PUT_ORDER, ("state", pack([order[1], order[5], report.ticks])))
        file.commit()
        for _, frame in out:
            oms.send(frame)
        report.commits = file.commits
        report.flush_if_due()


if __name__ == "__main__":
    {"venue": venue, "oms": oms, "strategy": strategy}[sys.argv[1]](Path(sys.argv[2]), sys.argv[3])
