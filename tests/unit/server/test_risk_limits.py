"""Limits in settings files, and what risk remembers of orders gone by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from foxtrot.core.config import load_config
from foxtrot.core.constants import Direction
from foxtrot.core.errors import ConfigError
from foxtrot.server.oms.risk_limits import OrderRate, RiskCode, RiskLimits, RiskSettings, limit_of
from foxtrot.server.oms.risk_window import DuplicateMemory, RateWindow


class Service(msgspec.Struct, frozen=True):
    risk: RiskSettings = RiskSettings()


TEXT = """
[risk]
max_notional = { USD = 1_000_000, JPY = 150_000_000 }
max_position = 10_000
price_collar = 0.05
max_price_age = 10
order_rate = { orders = 50, seconds = 1 }
duplicate_window = 0.5

[risk.strategies.sma]
symbols = ["AAPL.NASDAQ", "*.NYSE"]
sides = ["LONG"]
max_volume = { "AAPL.NASDAQ" = 500, "*" = 100 }
max_open_orders = 0
"""


def load(folder: Path, text: str) -> RiskSettings:
    path = folder / "oms.toml"
    path.write_text(text)
    return load_config(path, Service).risk


def test_a_file_gives_global_limits_and_those_of_strategies(tmp_path: Path) -> None:
    assert load(tmp_path, TEXT) == RiskSettings(
        max_notional={"USD": 1e6, "JPY": 1.5e8},
        max_position=10_000.0,
        price_collar=0.05,
        max_price_age=10.0,
        order_rate=OrderRate(orders=50),
        duplicate_window=0.5,
        strategies={
            "sma": RiskLimits(
                symbols=("AAPL.NASDAQ", "*.NYSE"),
                sides=(Direction.LONG,),
                max_volume={"AAPL.NASDAQ": 500.0, "*": 100.0},
                max_open_orders=0,
            )
        },
    )


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("max_notion = 5", r"risk\.max_notion: unknown key \(did you mean 'max_notional'"),
        ("max_volume = -1", r"risk\.max_volume"),
        ("max_volume = { AAPL = -1 }", r"risk\.max_volume"),
        ("max_volume = nan", r"risk\.max_volume"),
        ("price_collar = 0", r"risk\.price_collar"),
        ("sides = ['UP']", r"'UP' is not known"),
        ("sides = ['NET']", "LONG and SHORT, not NET"),
        ("symbols = ['AAPL']", r"'AAPL' is neither SYMBOL\.EXCHANGE nor"),
        ("order_rate = { orders = 0 }", r"risk\.order_rate\.orders"),
        ("order_rate = { seconds = 1 }", r"risk\.order_rate\.orders: missing"),
        ("[risk.strategies.sma]\nmax_ordrs = 1", r"risk\.strategies\.sma\.max_ordrs: unknown key"),
        ("[risk.strategies.sma.strategies.x]", r"risk\.strategies\.sma\.strategies: unknown key"),
    ],
)
def test_what_a_file_says_wrongly_is_refused(tmp_path: Path, line: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        load(tmp_path, f"[risk]\n{line}\n")


@pytest.mark.parametrize("limit", [-1.0, float("nan"), {"*": -1.0}])
def test_limits_made_in_code_are_checked_too(limit: Any) -> None:
    with pytest.raises(ValueError, match=r"max_volume.* must not be negative"):
        RiskLimits(max_volume=limit)


def test_the_nearest_entry_of_a_table_counts() -> None:
    table = {"AAPL.NASDAQ": 1.0, "*.NASDAQ": 2.0, "*": 3.0}

    assert [limit_of(table, name) for name in ("AAPL.NASDAQ", "MSFT.NASDAQ", "IBM.NYSE")] == [
        1,
        2,
        3,
    ]
    assert limit_of({"AAPL.NASDAQ": 1.0}, "IBM.NYSE") is None
    assert limit_of(7.0, "IBM.NYSE") == 7.0


# --- what is remembered ---------------------------------------------------------------------------------------


def test_a_window_opens_as_its_oldest_order_leaves_it() -> None:
    window = RateWindow(2, 100)
    window.add(10)
    assert window.wait(10) == 0
    window.add(50)

    assert [window.wait(now) for now in (50, 109, 110)] == [60, 1, 0]


def test_a_clock_that_steps_back_neither_opens_a_window_nor_blocks_it() -> None:
    window = RateWindow(2, 100)
    window.add(10_000)
    window.add(10_050)

    assert window.wait(20) == 50  # the newest is as of now
    assert window.wait(70) == 0
    window.add(70)
    assert window.wait(70) == 50
    assert window.wait(120) == 0


def test_a_clock_that_steps_back_keeps_duplicates_for_their_window_only() -> None:
    memory = DuplicateMemory(100)
    memory.add("a", 10_000)
    memory.add("b", 10_050)

    assert [memory.age(key, 0) for key in "abc"] == [50, 0, None]
    assert [memory.age(key, 60) for key in "abc"] == [None, 60, None]


def test_duplicates_that_are_too_old_are_forgotten() -> None:
    memory = DuplicateMemory(100)
    for now in range(0, 10_000, 10):
        memory.add(now, now)

    assert len(memory) == 10


def test_the_memory_for_duplicates_is_bounded() -> None:
    memory = DuplicateMemory(10**18, most=3)
    for now in range(100):
        memory.add(now, now)

    assert len(memory) == 3
    assert memory.age(99, 100) == 1


def test_every_code_and_every_setting_is_documented() -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "concepts" / "risk.md"
    text = page.read_text()

    missing = [code for code in RiskCode if f"| `{code.value}` |" not in text]
    missing += [name for name in RiskLimits.__struct_fields__ if name not in text]
    assert not missing
