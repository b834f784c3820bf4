"""The commands of a running installation, against services that answer from a thread."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from foxtrot.app.installation import Installation
from foxtrot.bus.messages import (
    CONTROL_HALT,
    CONTROL_RESUME,
    QUERY_ACCOUNTS,
    QUERY_CONTRACTS,
    QUERY_ORDERS,
    QUERY_POSITIONS,
    QUERY_TRADES,
    SERVICE_STATUS,
    STRATEGY_CONTROL,
    STRATEGY_LIST,
    AccountList,
    ContractList,
    ControlReply,
    HaltRequest,
    HistoryQuery,
    OrderPage,
    PositionList,
    ResumeRequest,
    ServiceStatus,
    StrategyControl,
    StrategyInfo,
    StrategyList,
    TradePage,
)
from foxtrot.bus.rpc_messages import RpcError
from foxtrot.core.constants import Direction, OrderType, Status
from foxtrot.core.objects import AccountData, ContractData, OrderData, PositionData, TradeData
from tests.unit.app.supervised_world import FakeService, installation, short_folder
from tests.unit.cli.cli_helpers import Told, foxtrot

T0 = 1_700_000_000_000_000_000

ORDERS = tuple(
    OrderData(
        *(f"PAPER.sma-{n}", "GOOG.NASDAQ", Direction.LONG, OrderType.LIMIT, 10.0, 99.5 + n),
        status=Status.NOTTRADED,
        strategy="sma",
        ts_init=T0 + n,
    )
    for n in range(1, 4)
)
TRADE = TradeData(
    *("PAPER.t1", "PAPER.sma-1", "GOOG.NASDAQ", Direction.LONG, 99.5, 10.0),
    strategy="sma",
    ts_event=T0,
)
POSITIONS = (
    PositionData("PAPER.GOOG", "GOOG.NASDAQ", Direction.NET, 10.0, price=99.5, pnl=12.5),
    PositionData("PAPER.MSFT", "MSFT.NASDAQ", Direction.NET, 0.0, realized_pnl=3.0),
)


def pages(query: HistoryQuery) -> OrderPage:
    """Orders two at a time."""
    start = int(query.cursor or 0)
    end = start + min(query.limit, 2)
    return OrderPage(ORDERS[start:end], str(end) if end < len(ORDERS) else "")


def status(service: str, state: str = "READY", **more: Any) -> dict[str, Any]:
    told = ServiceStatus(service, service, state, 3, 4_711, T0, **more)
    return {SERVICE_STATUS: (None, lambda _: told)}


def oms(installation: Installation, **more: Any) -> FakeService:
    def resume(asked: ResumeRequest) -> ControlReply:
        raise RpcError("NOT_SAVED", "the disk is full")

    answers = {
        **status("oms"),
        QUERY_ORDERS: (HistoryQuery, pages),
        QUERY_TRADES: (HistoryQuery, lambda _: TradePage((TRADE,))),
        QUERY_POSITIONS: (None, lambda _: PositionList(POSITIONS)),
        QUERY_ACCOUNTS: (None, lambda _: AccountList((AccountData("PAPER.USD", 1e5, 0.0, 250.0),))),
        QUERY_CONTRACTS: (None, lambda _: ContractList((ContractData("GOOG.NASDAQ"),))),
        CONTROL_HALT: (HaltRequest, lambda _: ControlReply("all trading is halted", 2)),
        CONTROL_RESUME: (ResumeRequest, resume),
        **more,
    }
    return FakeService(installation, "oms", answers)


def runner(installation: Installation, error: str = "") -> FakeService:
    info = StrategyInfo(
        "sma", "ERROR" if error else "RUNNING", vt_symbols=("GOOG.NASDAQ",), error=error
    )
    answers = {
        **status("strategies"),
        STRATEGY_LIST: (None, lambda _: StrategyList((info,))),
        STRATEGY_CONTROL: (StrategyControl, lambda asked: ControlReply(f"sma: {asked.verb}")),
    }
    return FakeService(installation, "strategies", answers)


@pytest.fixture
def made(monkeypatch) -> Iterator[Installation]:
    with short_folder() as folder:
        made = installation(folder)
        monkeypatch.setenv("FOXTROT_CONFIG", str(made.path))
        monkeypatch.setenv("COLUMNS", "240")
        yield made


@pytest.fixture
def asked(made: Installation) -> Iterator[FakeService]:
    with oms(made) as server:
        yield server


# --- books ----------------------------------------------------------------------------------------------------------


def test_orders_are_listed_from_as_many_pages_as_it_takes(made, asked) -> None:
    told = foxtrot("orders", "--limit", 3)

    assert told.code == 0
    assert [f"PAPER.sma-{n}" in told.out for n in (1, 2, 3)] == [True, True, True]
    assert "LONG 10 LIMIT 100.5" in told.out
    assert told.err == "3 orders\n"
    assert [query.cursor for _, query in asked.asked] == ["", "2"]


def test_no_more_orders_are_asked_for_than_wanted(made, asked) -> None:
    assert foxtrot("orders", "--limit", 1).err == "1 order\n"
    assert [query.limit for _, query in asked.asked] == [1]


def test_all_orders_come_the_oldest_first(made, asked) -> None:
    assert foxtrot("orders", "--all", "--limit", 1).err == "3 orders\n"
    assert not asked.asked[0][1].newest_first


def test_what_is_asked_for_is_handed_on(made, asked) -> None:
    foxtrot(
        *("orders", "--strategy", "sma", "--symbol", "GOOG.NASDAQ", "--active"),
        *("--from", "2023-11-14", "--to", "2023-11-14T22:00:00Z"),
    )

    query = asked.asked[0][1]
    assert (query.strategy, query.vt_symbol, query.active) == ("sma", "GOOG.NASDAQ", True)
    assert (query.start, query.end) == (1_699_920_000_000_000_000, 1_699_999_200_000_000_000)


def test_orders_as_json_have_their_fields_by_name(made, asked) -> None:
    rows = json.loads(foxtrot("orders", "--json").out)

    assert [row["vt_orderid"] for row in rows] == ["PAPER.sma-1", "PAPER.sma-2", "PAPER.sma-3"]
    assert rows[0]["status"] == "NOTTRADED"


def test_fills_are_listed(made, asked) -> None:
    told = foxtrot("trades")

    assert "LONG 10 at 99.5" in told.out
    assert told.err == "1 trade\n"


def test_flat_positions_are_shown_on_request(made, asked) -> None:
    held, everything = foxtrot("positions"), foxtrot("positions", "--all")

    assert "GOOG.NASDAQ" in held.out
    assert "MSFT.NASDAQ" not in held.out
    assert "MSFT.NASDAQ" in everything.out


def test_positions_of_one_instrument(made, asked) -> None:
    assert foxtrot("positions", "--symbol", "NONE.NASDAQ").err == "No positions.\n"


def test_accounts_tell_what_is_available(made, asked) -> None:
    assert "99,750.00" in foxtrot("accounts").out


def test_contracts_are_listed(made, asked) -> None:
    assert "GOOG.NASDAQ" in foxtrot("contracts").out
    assert foxtrot("contracts", "--symbol", "X.NASDAQ").out == ""


def test_a_wrong_date_is_refused_before_anything_is_asked(made, asked) -> None:
    told = foxtrot("orders", "--from", "yesterday")

    assert told.code == 2
    assert "--from 'yesterday' is no time" in told.err


# --- halts ----------------------------------------------------------------------------------------------------------


def test_a_halt_tells_what_was_done(made, asked) -> None:
    told = foxtrot("halt", "--cancel", "--reason", "testing")

    assert (told.code, told.out) == (0, "all trading is halted\n")
    assert asked.asked == [(CONTROL_HALT, HaltRequest("testing", "", True, False))]


def test_a_halt_of_one_strategy_names_it(made, asked) -> None:
    foxtrot("halt", "sma", "--flatten")

    assert asked.asked == [(CONTROL_HALT, HaltRequest("by command", "sma", False, True))]


def test_a_strategy_that_is_not_there_is_not_halted(made, asked) -> None:
    told = foxtrot("halt", "smaa")

    assert told.code == 2
    assert "there is no strategy 'smaa'" in told.err
    assert "did you mean 'sma'" in told.err
    assert asked.asked == []


def test_a_refusal_is_told_with_its_reason(made, asked) -> None:
    told = foxtrot("resume")

    assert told.code == 1
    assert "oms refuses: the disk is full" in told.err


def test_an_oms_that_is_away_is_told_with_what_to_do(made, monkeypatch) -> None:
    monkeypatch.setattr("foxtrot.app.control.Desk.__init__.__defaults__", (0.2,))
    told = foxtrot("orders")

    assert told.code == 1
    assert "the OMS does not answer at ipc://" in told.err
    assert "foxtrot up" in told.err


# --- strategies -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["start", "stop", "pause", "resume", "reload"])
def test_a_strategy_is_commanded_by_its_runner(made, verb: str) -> None:
    with runner(made) as server:
        told = foxtrot("strategy", verb, "sma")

    assert (told.code, told.out) == (0, f"sma: {verb}\n")
    assert server.asked == [(STRATEGY_CONTROL, StrategyControl(verb, "sma"))]


# --- status ---------------------------------------------------------------------------------------------------------


def everything(made: Installation, error: str = "", **watch: Any) -> list[FakeService]:
    counters = {"age_ms oms": 400, "restarts strategies": 2}
    return [
        oms(made),
        runner(made, error),
        FakeService(made, "recorder", status("recorder")),
        FakeService(made, "adapter-paper", status("adapter-paper")),
        FakeService(made, "watch", status("watch", counters=counters, **watch)),
    ]


@pytest.fixture
def running(made: Installation) -> Iterator[Installation]:
    servers = everything(made, error="Traceback\n  ValueError: the strategy is wrong\n")
    yield made
    for server in servers:
        server.close()


def test_the_status_shows_every_service_and_the_error_of_a_strategy(running) -> None:
    told = foxtrot("status")

    assert told.code == 0
    assert "no supervisor answers" in told.out
    rows = {line.split()[0]: line for line in told.out.splitlines() if line.strip()}
    assert "READY" in rows["oms"]
    assert "4711" in rows["oms"]
    assert "0.4 s ago" in rows["oms"]
    assert " 2 " in rows["strategies"]
    assert "ValueError: the strategy is wrong" in told.out


def test_the_status_as_json(running) -> None:
    document = json.loads(foxtrot("status", "--json").out)

    assert document["ready"]
    assert document["services"]["oms"]["heartbeat"] == 0.4
    assert document["strategies"]["sma"]["state"] == "ERROR"


def test_what_is_down_is_told_by_the_exit_code(made) -> None:
    told = foxtrot("status")

    assert told.code == 1
    assert told.out.count("DOWN") == 5


# --- which installation ---------------------------------------------------------------------------------------------


def test_without_an_installation_it_says_how_to_name_one(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("FOXTROT_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)

    told = foxtrot("status")

    assert told.code == 2
    assert "there is no configs/paper.toml in" in told.err
    assert "FOXTROT_CONFIG" in told.err


def test_the_option_counts_for_more_than_the_environment(made, monkeypatch) -> None:
    monkeypatch.setenv("FOXTROT_CONFIG", "/nowhere.toml")

    assert "test ·" in foxtrot("status", made.path).out


def test_a_service_that_is_not_there_is_not_restarted(made) -> None:
    told = foxtrot("restart", "omz")

    assert told.code == 2
    assert "there is no service 'omz'" in told.err


def test_nothing_is_restarted_without_a_supervisor(made) -> None:
    told = foxtrot("restart", "oms")

    assert told.code == 1
    assert "no supervisor answers" in told.err


def test_what_is_down_can_be_brought_down(made) -> None:
    told: Told = foxtrot("down")

    assert (told.code, told.out) == (0, "test is down; nothing was running.\n")


def test_the_supervisors_file_is_printed_for_the_current_folder(made, monkeypatch) -> None:
    monkeypatch.chdir(made.path.parent)

    told = foxtrot("up", "--print-conf")

    assert told.code == 0
    assert 'FOXTROT_CONFIG="%(here)s/test.toml"' in told.out


def test_the_help_of_a_command_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom foxtrot.cli import main\n"
        "print(*{'numpy', 'pandas', 'zmq', 'sqlite3'} & set(sys.modules))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout == "\n"
