"""How a command finds an installation and asks its services.

Invariants: every question has a time limit; a service that does not answer is told with what to do about it; nothing is
left open after ``close``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import zmq

from foxtrot.app.installation import Installation, load_installation
from foxtrot.app.supervisor_conf import CONFIG_VARIABLE
from foxtrot.bus.heartbeat import HEARTBEAT_TOPIC
from foxtrot.bus.loop import SocketWaiter
from foxtrot.bus.messages import (
    CONTROL_HALT,
    CONTROL_RESUME,
    QUERY_ACCOUNTS,
    QUERY_CONTRACTS,
    QUERY_ORDERS,
    QUERY_POSITIONS,
    QUERY_TRADES,
    STRATEGY_CONTROL,
    HaltRequest,
    HistoryQuery,
    ResumeRequest,
    StrategyControl,
    service_codec,
)
from foxtrot.bus.rpc_client import RpcClient
from foxtrot.bus.rpc_messages import Answer, Outcome, Unknown
from foxtrot.bus.tap import describe
from foxtrot.core.clock import LiveClock
from foxtrot.core.config import nearest
from foxtrot.core.constants import NS_PER_SECOND
from foxtrot.core.errors import BusError, ConfigError
from foxtrot.core.objects import (
    AccountData,
    ContractData,
    OrderData,
    PositionData,
    TradeData,
)

__all__ = ["DEFAULT_CONFIG", "Desk", "NoAnswerError", "find_installation", "is_default"]

DEFAULT_CONFIG = Path("configs/paper.toml")
"""Looked for under the current folder where nothing else is said."""

_PAGE = 500
_HEARTBEAT = HEARTBEAT_TOPIC.encode()


class NoAnswerError(BusError):
    """A service did not answer in time, or refused."""

    exit_code = 1


def find_installation(config: Path | None = None) -> Installation:
    """The installation that is meant: by ``config``, else by FOXTROT_CONFIG, else ``configs/paper.toml`` here.

    Raises:
        ConfigError: there is none, or its file is wrong.
    """
    named = os.environ.get(CONFIG_VARIABLE, "")
    path = config or (Path(named) if named else DEFAULT_CONFIG)
    if path is DEFAULT_CONFIG and not path.is_file():
        raise ConfigError(
            f"there is no {DEFAULT_CONFIG} in {Path.cwd()}; name the installation's file: --config FILE, or in the "
            f"environment variable {CONFIG_VARIABLE}"
        )
    return load_installation(path)


def is_default(installation: Installation) -> bool:
    """Whether commands mean this installation here where nothing else is said."""
    return installation.path == Path(os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG).absolute()


class Desk:
    """Short-lived connections to the services of an installation; a context manager.

    Args:
        installation: whose services are asked.
        timeout: seconds that an answer may take.
    """

    def __init__(self, installation: Installation, timeout: float = 3.0) -> None:
        self.installation = installation
        self._timeout = int(timeout * NS_PER_SECOND)
        self._clock = LiveClock()
        self._codec = service_codec()
        self._waiter = SocketWaiter(self._clock)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._clients: dict[str, RpcClient] = {}
        self._source = f"foxtrot-{os.getpid()}"
        self._epoch = self._clock.now()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        for client in self._clients.values():
            client.close()
        self._waiter.close()
        self._context.destroy(linger=0)

    # --- asking ---------------------------------------------------------------------------------------------

    def ask(
        self,
        service: str,
        method: str,
        body: msgspec.Struct | None = None,
        timeout: float | None = None,
    ) -> Any:
        """What a service answers.

        Raises:
            NoAnswerError: it did not in time, or refused.
            BusError: its endpoint cannot be used.
        """
        outcome = self.ask_all({service: (method, body)}, timeout)[service]
        if isinstance(outcome, Answer):
            if outcome.ok:
                return outcome.body
            raise NoAnswerError(f"{service} refuses: {outcome.error_text or outcome.error_code}")
        raise NoAnswerError(self._silence(service, method, outcome))

    def ask_all(
        self,
        questions: dict[str, tuple[str, msgspec.Struct | None]],
        timeout: float | None = None,
    ) -> dict[str, Outcome]:
        """What services answer, asked all at once; one that does not in time has ``Unknown``.

        Raises:
            BusError: an endpoint cannot be used.
        """
        limit = self._timeout if timeout is None else int(timeout * NS_PER_SECOND)
        found: dict[str, Outcome] = {}
        for service, (method, body) in questions.items():
            client = self._client(service)
            client.send(method, body, on_reply=_keep(found, service), timeout=limit)
        while len(found) < len(questions):
            self._waiter.wait(min(0.5, self._clock.wait_ns() / NS_PER_SECOND))
            self._clock.fire_due()
        return found

    def _client(self, service: str) -> RpcClient:
        client = self._clients.get(service)
        if client is None:
            client = self._clients[service] = RpcClient(
                self.installation.endpoint(service, "rpc"),
                self._codec,
                source=self._source,
                epoch=self._epoch,
                clock=self._clock,
                context=self._context,
            )
            client.attach(self._waiter)
        return client

    def _silence(self, service: str, method: str, outcome: Unknown) -> str:
        name = "the OMS" if service == "oms" else service
        where = self.installation.endpoint(service, "rpc")
        waited = outcome.waited / NS_PER_SECOND
        text = (
            f"{name} does not answer at {where} ({waited:.0f} s): is it up? "
            f"`foxtrot status` tells, `foxtrot up` starts it"
        )
        if outcome.acknowledged or (outcome.attempts and method.startswith(("ctl.", "strategy."))):
            text += "; whether it was carried out is not known"
        return text

    # --- the books ------------------------------------------------------------------------------------------

    def orders(self, query: HistoryQuery, *, everything: bool = False) -> list[OrderData]:
        """Orders; page after page where ``everything`` is wanted.

        Raises:
            NoAnswerError: the OMS does not answer, or refuses.
        """
        return list(self._pages(QUERY_ORDERS, query, everything, lambda page: page.orders))

    def trades(self, query: HistoryQuery, *, everything: bool = False) -> list[TradeData]:
        """Fills; as ``orders``."""
        return list(self._pages(QUERY_TRADES, query, everything, lambda page: page.trades))

    def positions(self) -> tuple[PositionData, ...]:
        """Every position; as ``orders``."""
        found: tuple[PositionData, ...] = self.ask("oms", QUERY_POSITIONS).positions
        return found

    def accounts(self) -> tuple[AccountData, ...]:
        """Every account; as ``orders``."""
        found: tuple[AccountData, ...] = self.ask("oms", QUERY_ACCOUNTS).accounts
        return found

    def contracts(self) -> tuple[ContractData, ...]:
        """Every contract; as ``orders``."""
        found: tuple[ContractData, ...] = self.ask("oms", QUERY_CONTRACTS).contracts
        return found

    def _pages(
        self,
        method: str,
        query: HistoryQuery,
        everything: bool,
        items: Callable[[Any], tuple[Any, ...]],
    ) -> Iterator[Any]:
        left = query.limit
        while True:
            size = _PAGE if everything else min(left, _PAGE)
            page = self.ask("oms", method, msgspec.structs.replace(query, limit=size))
            found = items(page)
            yield from found
            left -= len(found)
            query = msgspec.structs.replace(query, cursor=page.cursor)
            if not page.cursor or query.active or (left <= 0 and not everything):
                return

    # --- commands -------------------------------------------------------------------------------------------

    def halt(self, reason: str, strategy: str = "", *, cancel: bool, flatten: bool) -> str:
        """Stop new orders; returns what was done, in words.

        Raises:
            ConfigError: there is no such strategy.
            NoAnswerError: the OMS does not answer, or refuses.
        """
        self._check_strategy(strategy)
        reply = self.ask("oms", CONTROL_HALT, HaltRequest(reason, strategy, cancel, flatten), 10.0)
        return str(reply.text)

    def resume(self, reason: str, strategy: str = "") -> str:
        """End a halt; as ``halt``."""
        self._check_strategy(strategy)
        return str(self.ask("oms", CONTROL_RESUME, ResumeRequest(reason, strategy), 10.0).text)

    def control(self, verb: str, strategy: str) -> str:
        """Start, stop, pause, resume or reload a strategy; returns what its runner says; as ``halt``."""
        self._check_strategy(strategy)
        runner = next(
            runner.name
            for runner in self.installation.runners
            if any(known.name == strategy for known in runner.strategies)
        )
        return str(self.ask(runner, STRATEGY_CONTROL, StrategyControl(verb, strategy), 10.0).text)

    def _check_strategy(self, name: str) -> None:
        known = [s.name for runner in self.installation.runners for s in runner.strategies]
        if name and name not in known:
            close = nearest(name, known)
            hint = f"; did you mean {close!r}?" if close else "."
            raise ConfigError(
                f"there is no strategy {name!r} in {self.installation.path}{hint} There are: "
                f"{', '.join(known) or 'none'}"
            )

    # --- traffic --------------------------------------------------------------------------------------------

    def tap(self, topic: str = "") -> Iterator[str]:
        """Every message from now on whose topic begins so, as one line each; without a topic all but heartbeats.

        Raises:
            BusError: an endpoint cannot be used.
        """
        socket = self._context.socket(zmq.SUB)
        socket.set(zmq.RECONNECT_IVL, 50)
        for service in (*self.installation.service_names(), "watch"):
            socket.connect(self.installation.endpoint(service, "pub"))
        socket.subscribe(topic.encode())
        try:
            while True:
                frame = socket.recv()
                if topic or not frame.startswith(_HEARTBEAT):
                    yield describe(frame, self._codec)
        finally:
            socket.close(linger=0)


def _keep(found: dict[str, Outcome], service: str) -> Callable[[Outcome], None]:
    def keep(outcome: Outcome) -> None:
        found[service] = outcome

    return keep
