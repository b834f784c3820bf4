"""The adapter's process, with the test standing in for the OMS and the runners."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from foxtrot.bus.messages import (
    MARKET_SUBSCRIBE,
    ORDER_CANCEL,
    ORDER_SEND,
    PACE,
    QUERY_HISTORY,
    QUERY_SNAPSHOT,
    BarPage,
    PaceReply,
)
from foxtrot.bus.rpc_messages import Answer
from foxtrot.core.constants import Direction, Interval, OrderType, Status
from foxtrot.core.objects import (
    BarData,
    CancelRequest,
    ContractData,
    HistoryRequest,
    OrderData,
    OrderRequest,
    SubscribeRequest,
    TradeData,
)
from foxtrot.core.venue import VenueSnapshot
from tests.integration.service_world import Desk, FakeOms, installation

SYMBOL = "GOOG.NASDAQ"
ADAPTER = "adapter-paper"
SLOW = (
    "speed = 8_640_000.0\nshift = 'now'\nmax_wait = 0.02\nloop = true"  # some fifty days a second
)


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("a")


@pytest.fixture
def desk(folder: Path) -> Iterator[Desk]:
    desk = Desk(installation(folder, SLOW))
    yield desk
    desk.close()


def order(number: int, **fields: object) -> OrderRequest:
    given = {"direction": Direction.LONG, "type": OrderType.MARKET, "volume": 2.0, **fields}
    return OrderRequest(vt_symbol=SYMBOL, strategy="sma", vt_orderid=f"PAPER.sma-{number}", **given)


def test_contracts_and_the_account_are_told_first_and_market_data_is_published(desk: Desk) -> None:
    oms = FakeOms(desk)
    desk.listen(ADAPTER)
    desk.start("adapter", ADAPTER)
    oms.pump(lambda: oms.of(VenueSnapshot) and len(desk.topics("eBar.")) > 5)
    assert isinstance(oms.reports[0], ContractData)
    assert oms.reports[0].vt_symbol == SYMBOL
    assert oms.of(VenueSnapshot)[0].open_orders_complete
    bars = desk.topics(f"eBar.{SYMBOL}")
    assert isinstance(bars[0].message, BarData)
    assert [b.seq for b in bars] == list(range(bars[0].seq, bars[0].seq + len(bars)))
    oms.pump(lambda: desk.status(ADAPTER).state == "READY")
    assert desk.status(ADAPTER).role == "adapter"


def test_an_order_is_taken_at_once_and_its_fill_comes_as_a_report(desk: Desk) -> None:
    oms = FakeOms(desk)
    desk.start("adapter", ADAPTER)
    oms.pump(lambda: oms.of(VenueSnapshot))
    answer = desk.ask(ADAPTER, ORDER_SEND, order(1))
    assert isinstance(answer, Answer)
    assert answer.ok
    assert answer.body is None
    oms.pump(lambda: oms.of(TradeData))
    assert [o.status for o in oms.of(OrderData)][:1] == [Status.NOTTRADED]
    assert oms.of(TradeData)[0].vt_orderid == "PAPER.sma-1"
    again = desk.ask(
        ADAPTER, ORDER_SEND, order(1)
    )  # the venue knows the id: nothing is bought twice
    assert isinstance(again, Answer)
    oms.pump(lambda: len(oms.of(TradeData)) > 1)
    assert {t.vt_tradeid for t in oms.of(TradeData)} == {oms.of(TradeData)[0].vt_tradeid}


def test_what_the_venue_cannot_have_got_is_refused(desk: Desk) -> None:
    oms = FakeOms(desk)
    desk.start("adapter", ADAPTER)
    oms.pump(lambda: oms.of(VenueSnapshot))
    strange = desk.ask(ADAPTER, ORDER_CANCEL, CancelRequest("OTHER.sma-1"))
    assert isinstance(strange, Answer)
    assert (strange.ok, strange.error_code) == (False, "REFUSED")
    assert "PAPER" in strange.error_text


def test_history_is_what_was_before_and_the_snapshot_comes_as_a_report(desk: Desk) -> None:
    oms = FakeOms(desk)
    desk.start("adapter", ADAPTER)
    oms.pump(lambda: oms.of(VenueSnapshot))
    page = desk.ask(ADAPTER, QUERY_HISTORY, HistoryRequest(SYMBOL, interval=Interval.DAILY))
    assert isinstance(page, Answer)
    assert isinstance(page.body, BarPage)
    assert len(page.body.bars) > 1_000
    closes = [bar.ts_event for bar in page.body.bars]
    assert closes == sorted(closes)
    assert closes[-1] <= desk.clock.now() + 20 * 365 * 86_400 * 10**9
    assert desk.ask(ADAPTER, MARKET_SUBSCRIBE, SubscribeRequest(SYMBOL)).ok  # type: ignore[union-attr]
    before = len(oms.of(VenueSnapshot))
    assert desk.ask(ADAPTER, QUERY_SNAPSHOT).ok  # type: ignore[union-attr]
    oms.pump(lambda: len(oms.of(VenueSnapshot)) > before)


def test_after_a_restart_of_the_oms_everything_is_told_again(desk: Desk) -> None:
    oms = FakeOms(desk)
    desk.start("adapter", ADAPTER)
    oms.pump(lambda: desk.status(ADAPTER).state == "READY")
    state = oms.receiver.state()
    oms.close()
    oms = FakeOms(desk, epoch=2, state=state)
    desk.ask(ADAPTER, ORDER_SEND, order(1))
    oms.pump(lambda: oms.of(VenueSnapshot) and oms.of(ContractData) and oms.of(TradeData))
    assert not oms.lost


def test_after_sigkill_the_snapshot_brings_what_was_not_told(desk: Desk) -> None:
    oms = FakeOms(desk)
    child = desk.start("adapter", ADAPTER)
    oms.pump(lambda: desk.status(ADAPTER).state == "READY")
    epoch = desk.status(ADAPTER).epoch
    oms.is_held = True
    limit = order(7, type=OrderType.LIMIT, price=1.0)
    desk.ask(ADAPTER, ORDER_SEND, order(1))
    desk.ask(ADAPTER, ORDER_SEND, limit)
    oms.pump(lambda: oms.of(TradeData))
    assert child.stop(signal.SIGKILL) == -signal.SIGKILL
    oms.is_held = False
    oms.reports.clear()
    desk.start("adapter", ADAPTER)
    oms.pump(lambda: oms.of(VenueSnapshot))
    snapshot = oms.of(VenueSnapshot)[0]
    assert {o.vt_orderid for o in snapshot.orders} == {"PAPER.sma-1", "PAPER.sma-7"}
    assert len(snapshot.fills) == 1
    oms.pump(lambda: desk.status(ADAPTER).state == "READY")
    assert desk.status(ADAPTER).epoch > epoch
    assert desk.ask(ADAPTER, ORDER_CANCEL, CancelRequest("PAPER.sma-7")).ok  # type: ignore[union-attr]
    oms.pump(lambda: any(o.status is Status.CANCELLED for o in oms.of(OrderData)))


def test_sigterm_ends_it_in_order(desk: Desk) -> None:
    oms = FakeOms(desk)
    child = desk.start("adapter", ADAPTER)
    oms.pump(lambda: desk.status(ADAPTER).state == "READY")
    assert child.stop() == 0
    assert child.lines[-1]["msg"] == "stopped"
    assert not any(line["level"] in ("ERROR", "CRITICAL") for line in child.lines)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("nowhere.at_all:Venue", "there is no module 'nowhere'"),
        ("foxtrot.core.clock:LiveClock", "not a subclass of BaseAdapter"),
        ("foxtrot.adapter.paper:Papr", "no class 'Papr'"),
        ("missing.py:Venue", "there is no file"),
        ("paperr", "package.module:Class"),
    ],
)
def test_a_class_that_cannot_be_loaded_is_a_config_error(
    folder: Path, kind: str, told: str
) -> None:
    config = folder / "bad.toml"
    config.write_text(f'run = "run"\n[[adapters]]\nname = "X"\nkind = "{kind}"\n')
    from foxtrot.app.adapter_build import load_adapter_class
    from foxtrot.app.installation import load_installation
    from foxtrot.app.settings import resolve_strategy
    from foxtrot.core.errors import ConfigError

    settings = load_installation(config).adapters[0]
    with pytest.raises(ConfigError, match=told):
        load_adapter_class(resolve_strategy(settings.kind, folder))


VENUE = """
from foxtrot.adapter.base_adapter import BaseAdapter

class Venue(BaseAdapter):
    def connect(self, setting):
        assert setting["key"] == 1
        self.write_log("connected")
    def close(self): ...
    def subscribe(self, request): ...
    def send_order(self, request):
        raise ConnectionRefusedError("nobody listens there")
    def modify_order(self, request): ...
    def cancel_order(self, request):
        raise TimeoutError("no answer")
    def query_account(self): ...
    def query_position(self): ...
"""


def test_a_class_of_the_users_in_a_file_is_an_adapter_too(folder: Path) -> None:
    (folder / "venue.py").write_text(VENUE)
    config = folder / "own.toml"
    config.write_text(
        'run = "run"\n[[adapters]]\nname = "X"\nkind = "venue.py:Venue"\nsetting = { key = 1 }\n'
    )
    desk = Desk(config)
    try:
        child = desk.start("adapter", "X")  # the adapter's own name will do
        desk.until_state("adapter-x", "READY")
        refused = desk.ask(
            "adapter-x",
            ORDER_SEND,
            order(1).__class__(SYMBOL, Direction.LONG, OrderType.MARKET, 1.0, vt_orderid="X.a-1"),
        )
        assert (refused.ok, refused.error_code) == (False, "REFUSED")  # type: ignore[union-attr]
        unknown = desk.ask("adapter-x", ORDER_CANCEL, CancelRequest("X.a-1"))
        assert unknown.error_code == "HANDLER_ERROR"  # type: ignore[union-attr]
        assert any(line["msg"] == "connected" for line in child.lines)
        assert child.stop() == 0
    finally:
        desk.close()


# --- paced ------------------------------------------------------------------------------------------------


class FakeRunner:
    """Reads what is published, a look later than it is asked, and each event once."""

    def __init__(self, desk: Desk, oms: FakeOms) -> None:
        self.desk = desk
        self.reader = desk.listen(ADAPTER, topics=("eBar.",))
        self.read = self.looks = self.bars = self.cursor = 0
        self.clock = 0
        self.seen: list[tuple[int, int]] = []
        self.misses = 0  # events to lose
        self.oms_heads = {"s/sma": 0}
        desk.server("strategies").register(PACE, self._on_pace, keep=False)
        oms.server.register(PACE, self._on_oms, keep=False)

    def _on_pace(self, asked, _later) -> PaceReply:
        self.clock = max(self.clock, asked.body.ts)
        self.looks += 1
        bars = self.desk.topics("eBar.")
        if self.looks % 2:
            for bar in bars[self.bars :]:
                self._on_bar(bar)
            self.bars = len(bars)
        if self.looks % 5 == 0:
            self.cursor = self.oms_heads["s/sma"]
        return PaceReply(asked.body.number, True, {"s/sma": self.cursor}, self.read)

    def _on_bar(self, envelope) -> None:
        if self.misses:
            self.misses -= 1
            self.reader.tracker.states.clear()  # as in a process that was restarted
            self.reader.tracker.by_topic.clear()
        elif self.read < envelope.seq:
            assert envelope.message.ts_event == self.clock
            self.seen.append((envelope.seq, self.clock))
            self.read = envelope.seq

    def _on_oms(self, asked, _later) -> PaceReply:
        return PaceReply(asked.body.number, True, dict(self.oms_heads), asked.body.number)


def stamps_of_opens(desk: Desk) -> set[int]:
    return {bar.message.ts_open for bar in desk.topics("eBar.")}


def test_a_paced_replay_releases_an_event_when_everybody_has_handled_the_one_before(
    folder: Path,
) -> None:
    desk = Desk(installation(folder, "paced = true"))
    try:
        oms = FakeOms(desk)
        runner = FakeRunner(desk, oms)
        child = desk.start("adapter", ADAPTER)
        oms.pump(lambda: len(runner.seen) >= 20)
        numbers = [number for number, _ in runner.seen]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        stamps = [ts for _, ts in runner.seen]
        assert stamps == sorted(stamps)
        # the OMS writes a fact: nothing goes on before the runner has read it
        runner.oms_heads["s/sma"] += 1
        oms.pump(lambda: runner.cursor == 1)
        last = runner.seen[-1][0]
        oms.pump(lambda: runner.seen[-1][0] > last + 5)
        # an order is answered, and nothing goes on before what the venue said of it is durable
        oms.is_held = True
        assert desk.ask(ADAPTER, ORDER_SEND, order(1)).ok  # type: ignore[union-attr]
        oms.pump(lambda: oms.of(OrderData))
        desk.run_for(0.3)
        stands = len(runner.seen)
        desk.run_for(0.3)
        assert len(runner.seen) == stands
        assert not oms.of(TradeData)
        oms.is_held = False
        oms.pump(lambda: oms.of(TradeData) and len(runner.seen) > stands + 5)
        assert oms.of(TradeData)[0].ts_event in stamps_of_opens(desk)
        # what a runner has lost is shown again
        runner.misses, last = 1, runner.seen[-1][0]
        oms.pump(lambda: not runner.misses and runner.seen[-1][0] > last + 5)
        # killed, it goes on at the event that was out
        child.stop(signal.SIGKILL)
        last = runner.seen[-1][0]
        desk.start("adapter", ADAPTER)
        oms.pump(lambda: runner.seen[-1][0] > last + 5)
        numbers = [number for number, _ in runner.seen]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    finally:
        desk.close()
