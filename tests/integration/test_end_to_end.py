"""Real processes and sockets: data → strategy → OMS → paper venue → fills → positions, equal to the backtest.

The replay is paced, on the data's own clock; so the strategy's stream of orders and fills must equal that of the
backtest in one process on the same data, record for record and by its SHA-256, however often processes are killed.

``FOXTROT_KILL_ROUNDS`` sets the kills of each service, ``FOXTROT_KILL_SEED`` what they hit.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from foxtrot.app.supervisor_conf import pid_path
from foxtrot.app.watch_host import is_running
from foxtrot.core.objects import TradeData
from foxtrot.server.backtest.record import digest_of
from tests.integration.e2e_world import (
    QUOTER,
    RESTLESS,
    SMA_CROSS,
    Paced,
    Record,
    backtest,
    differences,
    write_config,
)

ROOT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("FOXTROT_KILL_ROUNDS", "1"))
SEED = int(os.environ.get("FOXTROT_KILL_SEED", "4"))
COSTS = """
[adapters.execution.fees]
rate = 0.001
[adapters.execution.slippage]
rate = 0.0005
"""

pytestmark = pytest.mark.timeout(60 + 10 * KILLS)


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="fx"))  # paths of sockets are short
    yield folder
    shutil.rmtree(folder)


def check(paced: Paced, want: list[Record]) -> None:
    """What the OMS and the strategy have is what the backtest had."""
    got = paced.records()
    assert differences(got, want) == ""
    assert digest_of(got) == digest_of(want)
    trades = [record for record in want if isinstance(record, TradeData)]
    held = sum(t.volume if t.direction.value == "LONG" else -t.volume for t in trades)
    assert abs(paced.position()) == abs(held)
    info = paced.strategy()
    assert (info.state, info.waiting, info.cursor) == ("RUNNING", 0, len(want))
    assert all(float(v) == held for k, v in info.variables.items() if k.startswith("position"))


def run(config: Path, folder: Path, kills: int = 0) -> None:
    want = backtest(config, folder)
    assert any(isinstance(record, TradeData) for record in want)
    paced = Paced(config)
    try:
        paced.start()
        if kills:
            paced.chaos(SEED, kills)
        paced.play_out(50.0 + 5 * kills)
        check(paced, want)
        paced.stop()
    finally:
        paced.close()


def quotes(folder: Path, rows: int = 160) -> str:
    """Quotes that wander, as a file; returns the settings that read it."""
    lines = ["time,bid,ask,bid_size,ask_size"]
    for row in range(rows):
        bid = round(100 + 0.3 * math.sin(row / 9) + 0.11 * math.sin(row * 1.7), 2)
        second, part = divmod(row * 7, 20)
        lines.append(
            f"2024-03-04 09:{30 + second // 60:02}:{second % 60:02}.{part * 50:03},{bid},{bid + 0.02:.2f},50,50"
        )
    path = folder / "Q.csv"
    path.write_text("\n".join(lines) + "\n")
    return (
        'path = "Q.csv"\nvt_symbol = "Q.LOCAL"\ntz = "UTC"\ncontract = { pricetick = 0.01 }\n'
    ).replace("Q.csv", str(path))


def test_a_strategy_of_the_examples_trades_as_in_its_backtest(folder: Path) -> None:
    config = write_config(
        folder, SMA_CROSS, begin="2012-06-01", warmup_bars=3_000, setting="fast = 5\nslow = 12"
    )
    run(config, folder)


def test_without_a_begin_all_data_are_news(folder: Path) -> None:
    source = ROOT / "foxtrot" / "data" / "samples"
    assert source.is_dir()
    rows = ["date,open,high,low,close,volume"]
    for day in range(1, 29):
        price = round(50 + 5 * math.sin(day / 2), 2)
        rows.append(f"2024-02-{day:02},{price},{price + 1},{price - 1},{price + 0.5},1000")
    (folder / "B.csv").write_text("\n".join(rows) + "\n")
    data = f'path = "{folder / "B.csv"}"\nvt_symbol = "B.LOCAL"\ntz = "UTC"'
    config = write_config(folder, RESTLESS, data=data, vt_symbol="B.LOCAL")
    run(config, folder)


def test_orders_of_every_kind_changes_answers_and_timers_over_kills(folder: Path) -> None:
    config = write_config(folder, RESTLESS, begin="2012-10-15", warmup_bars=3_000, execution=COSTS)
    run(config, folder, KILLS)


def test_quotes_at_the_venue_and_in_the_backtest_bring_the_same_fills(folder: Path) -> None:
    config = write_config(folder, QUOTER, data=quotes(folder), vt_symbol="Q.LOCAL")
    run(config, folder)


# --- under a supervisor -------------------------------------------------------------------------------------


def foxtrot(config: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "foxtrot.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        cwd=ROOT,
        env={**os.environ, "FOXTROT_CONFIG": str(config)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_under_a_supervisor_from_up_to_down(folder: Path) -> None:
    config = write_config(
        folder,
        SMA_CROSS,
        begin="2012-09-01",
        warmup_bars=3_000,
        setting="fast = 5\nslow = 12",
        recorder="true",
    )
    want = backtest(config, folder)
    paced = Paced(config)
    pids: list[int] = []
    try:
        told = foxtrot(config, "up")
        assert "strategies" in told
        pids.append(int(pid_path(paced.installation).read_text()))
        names = (*paced.installation.service_names(), "watch")
        pids += [paced.desk.status(name).pid for name in names]
        paced.play_out(40.0)
        check(paced, want)
        foxtrot(config, "down")
        assert [pid for pid in pids if is_running(pid)] == []
        assert list((paced.installation.run / "sockets").iterdir()) == []
    finally:
        paced.close()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                if is_running(pid):
                    os.kill(pid, signal.SIGKILL)
