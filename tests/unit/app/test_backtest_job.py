"""One backtest from settings to files."""

from __future__ import annotations

import csv
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from foxtrot.app import backtest
from foxtrot.app.backtest import BacktestOutcome, run_backtest_job
from foxtrot.app.settings import BacktestJob, Output, load_job
from foxtrot.core.errors import ConfigError, DataError, MissingExtraError, StrategyError
from tests.unit.app.app_helpers import SETTINGS, make_world


def load_world(folder: Path, *overrides: str) -> BacktestJob:
    return load_job(make_world(folder), overrides)


def run_world(folder: Path, *overrides: str) -> BacktestOutcome:
    return run_backtest_job(load_world(folder, *overrides))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def hide(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """Make packages look as if they were not installed."""
    there = importlib.util.find_spec
    monkeypatch.setattr(backtest, "find_spec", lambda n: None if n in packages else there(n))


def test_a_job_runs_and_writes_its_files(tmp_path: Path) -> None:
    outcome = run_world(tmp_path)

    out = tmp_path / "out"
    assert names(out) == {"trades.csv", "orders.csv", "equity.csv", "statistics.json"}
    assert [file.parent for file in outcome.files] == [out] * 4
    assert outcome.files[-1].name == "statistics.json"
    with (out / "trades.csv").open() as file:
        trades = list(csv.DictReader(file))
    assert len(trades) == len(outcome.result.trades) > 10
    assert trades[0]["vt_symbol"] == "TEST.LOCAL"
    with (out / "equity.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 84


def test_the_summary_holds_what_was_run_and_what_came_out(tmp_path: Path) -> None:
    outcome = run_world(tmp_path)

    told = json.loads((tmp_path / "out" / "statistics.json").read_text())
    assert told == json.loads(outcome.to_json())
    assert told["name"] == "flip"
    assert told["strategies"] == {"flip": {"class": "Flip", "bars": 4, "share": 0.5}}
    assert told["instruments"] == ["TEST.LOCAL"]
    assert told["events"] == 84
    assert told["log_sha256"] == outcome.result.log_sha256
    assert told["statistics"]["trades"] == outcome.statistics.trades
    assert told["files"] == ["trades.csv", "orders.csv", "equity.csv", "statistics.json"]
    assert "Market orders fill" in told["conventions"]


def test_the_same_job_gives_the_same_log_and_figures(tmp_path: Path) -> None:
    first, second = run_world(tmp_path), run_world(tmp_path)

    assert first.result.log_sha256 == second.result.log_sha256
    assert first.statistics.to_dict() == second.statistics.to_dict()


def test_settings_change_the_run(tmp_path: Path) -> None:
    plain = run_world(tmp_path)
    costly = run_world(tmp_path, "execution.fees.rate=0.01")
    short = run_world(tmp_path, "start=2024-02-01", "end=2024-02-10")

    assert costly.statistics.equity_final < plain.statistics.equity_final
    assert costly.statistics.commissions > 0.0 == plain.statistics.commissions
    assert short.result.events == 10


def test_a_report_is_written_and_a_later_run_without_one_removes_it(tmp_path: Path) -> None:
    with_report = run_world(tmp_path, "output.report=true")
    assert with_report.report == tmp_path / "out" / "report.html"
    assert "<html" in with_report.report.read_text(encoding="utf-8")
    (tmp_path / "out" / "notes.txt").write_text("mine")

    without = run_world(tmp_path)

    assert without.report is None
    assert "report.html" not in names(tmp_path / "out")
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


def test_files_that_no_run_wrote_are_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "report.html").write_text("mine")
    (out / "statistics.json").write_text("[not ours")

    run_world(tmp_path, "output.csv=false")

    assert (out / "report.html").read_text() == "mine"
    assert names(out) == {"report.html", "statistics.json"}


def test_parquet_is_written_when_asked_for(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")

    outcome = run_world(tmp_path, "output.parquet=true")

    frame = pandas.read_parquet(tmp_path / "out" / "equity.parquet")
    assert frame["equity"].tolist() == outcome.result.equity.tolist()
    assert {"trades.parquet", "orders.parquet", "trades.csv"} <= names(tmp_path / "out")


def test_a_missing_extra_is_told_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(monkeypatch, "plotly", "pyarrow")

    with pytest.raises(MissingExtraError, match=r"foxtrot-trading\[report\]"):
        run_world(tmp_path, "output.report=true")
    with pytest.raises(MissingExtraError, match=r"foxtrot-trading\[parquet\]"):
        run_world(tmp_path, "output.parquet=true")
    assert not (tmp_path / "out").exists()


def test_a_report_that_nobody_insisted_on_is_left_out_with_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(monkeypatch, "plotly")
    job = load_world(tmp_path)

    outcome = run_backtest_job(replace(job, output=Output(folder=job.output.folder)))

    assert outcome.report is None
    assert outcome.notes[0].startswith("No HTML report: it needs plotly; install it with: pip")


def test_progress_and_stages_are_told(tmp_path: Path) -> None:
    seen: list[Any] = []
    stages: list[str] = []

    run_backtest_job(load_world(tmp_path), lambda *told: seen.append(told), stages.append)

    assert seen[-1][:2] == (84, 84)
    assert stages[0] == "checking the settings"
    assert {"loading data", "running", "writing files"} <= set(stages)


def test_a_warm_up_feeds_indicators_only(tmp_path: Path) -> None:
    outcome = run_world(tmp_path, "warmup_until=2024-03-01")

    assert outcome.result.events == 84
    first = min(trade.datetime for trade in outcome.result.trades)
    assert first.isoformat() > "2024-03-01"


def test_a_strategy_that_raises_ends_the_run_and_leaves_the_last_results(tmp_path: Path) -> None:
    before = run_world(tmp_path)
    text = SETTINGS.replace("Flip", "Faulty").replace("{ bars = 4 }", "{}")

    with pytest.raises(StrategyError, match="float division by zero") as caught:
        run_backtest_job(load_job(make_world(tmp_path, text)))

    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    told = json.loads((tmp_path / "out" / "statistics.json").read_text())
    assert told["log_sha256"] == before.result.log_sha256


@pytest.mark.parametrize(
    ("overrides", "error", "told"),
    [
        (["bras=3"], ConfigError, "Flip has no parameter 'bras'; did you mean 'bars'?"),
        (["bars=few"], ConfigError, "Flip parameter 'bars' must be int, got 'few'"),
        (["statistics.convention=vnppy"], ConfigError, "did you mean 'vnpy'?"),
        (["data=[]"], ConfigError, "there is no data to run on"),
        (["strategy=[]"], ConfigError, "there is no strategy to run"),
        (
            ["strategy.0.vt_symbols=['OTHER.LOCAL']"],
            ConfigError,
            "no data of 'OTHER.LOCAL' is loaded; loaded: TEST.LOCAL",
        ),
        (["data.0.path=none.csv"], DataError, "none.csv: no such file"),
        (["data.0.fix=['srot']"], DataError, "fix 'srot' does not exist (did you mean 'sort'?)"),
        (["start=2030-01-01"], DataError, "no row from start=2030-01-01"),
        (["warmup_until=2030-01-01"], DataError, "nothing would be traded"),
        (["output.folder=prices.csv"], ConfigError, "prices.csv is a file; choose another"),
        (["strategy.0.path=none:X"], ConfigError, "there is no module 'none'"),
    ],
)
def test_wrong_settings_are_told_and_nothing_is_written(
    tmp_path: Path, overrides: list[str], error: type[Exception], told: str
) -> None:
    with pytest.raises(error) as caught:
        run_world(tmp_path, *overrides)

    assert told in str(caught.value)
    assert not (tmp_path / "out").exists()
