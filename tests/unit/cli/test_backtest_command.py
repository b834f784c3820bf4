"""``foxtrot backtest``: what its options do, what it prints, how it refuses."""

from __future__ import annotations

import json
import webbrowser
from pathlib import Path

import pytest

from foxtrot.app import backtest
from tests.unit.app.app_helpers import SETTINGS, make_world
from tests.unit.cli.cli_helpers import foxtrot


@pytest.fixture(autouse=True)
def _world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with strategies, prices and settings, as the current one."""
    make_world(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")


def outcome(*arguments: object) -> dict[str, object]:
    """Run with ``--json`` and return what it says."""
    told = foxtrot("backtest", *arguments, "--json", "--no-report")
    assert told.code == 0, told.err
    document: dict[str, object] = json.loads(told.out)
    return document


def statistics(*arguments: object) -> dict[str, float]:
    figures = outcome(*arguments)["statistics"]
    assert isinstance(figures, dict)
    return figures


PLAIN = ("strategies.py:Flip", "--data", "prices.csv")


# --- what runs ----------------------------------------------------------------------------------------------


def test_a_settings_file_runs_and_the_summary_tells_of_it() -> None:
    told = foxtrot("backtest", "job.toml")

    assert told.code == 0
    assert "Backtest · flip" in told.out
    assert "TEST.LOCAL" in told.out
    assert "In " in told.out and "trades.csv, orders.csv, equity.csv, statistics.json" in told.out
    assert max(len(line) for line in told.out.splitlines() if "│" in line) == 80
    assert Path("out/statistics.json").exists()


def test_a_strategy_runs_on_the_data_given() -> None:
    said = outcome(*PLAIN, "--symbol", "TEST.NASDAQ", "--set", "bars=3")

    assert said["instruments"] == ["TEST.NASDAQ"]
    assert said["name"] == "strategies"
    assert said["strategies"] == {"flip": {"class": "Flip", "bars": 3, "share": 0.5}}
    assert said["folder"] == "results/strategies"


def test_a_strategy_without_data_runs_on_a_sample_and_says_so() -> None:
    told = foxtrot("backtest", "strategies.py:Flip", "--no-report")

    assert told.code == 0
    assert "GOOG.NASDAQ" in told.out
    assert "No data was given, so this ran on the sample GOOG" in told.out


def test_a_strategy_of_a_module_in_this_folder_is_found() -> None:
    said = outcome("strategies:Flip", "--sample", "fb")

    assert said["instruments"] == ["FB.NASDAQ"]


def test_several_files_and_samples_run_together() -> None:
    Path("more.csv").write_text(Path("prices.csv").read_text())

    said = outcome(
        "strategies.py:Flip",
        *("--data", "prices.csv", "--data", "more.csv", "--symbol", "A.LOCAL"),
        *("--sample", "FB", "--set", "share=0.1"),
    )

    assert said["instruments"] == ["A.LOCAL", "MORE.LOCAL", "FB.NASDAQ"]


def test_data_given_replaces_the_data_of_the_settings() -> None:
    assert outcome("job.toml", "--sample", "FB")["instruments"] == ["FB.NASDAQ"]


# --- what options do ----------------------------------------------------------------------------------------


def test_options_reach_the_run() -> None:
    plain = statistics(*PLAIN)

    assert statistics(*PLAIN, "--capital", 5000)["capital"] == 5000.0
    assert plain["commissions"] == 0.0 < statistics(*PLAIN, "--commission", 0.01)["commissions"]
    double = statistics(*PLAIN, "--leverage", 2, "--set", "share=1")
    assert double["max_leverage"] > 1.5
    same = statistics(*PLAIN, "--market-fill", "same_close")
    assert same["equity_final"] != plain["equity_final"]
    assert statistics(*PLAIN, "--set", "bars=80")["open_lots"] == 1
    closed = statistics(*PLAIN, "--set", "bars=80", "--finalize", "last_close")
    assert closed["open_lots"] == 0
    assert statistics(*PLAIN, "--convention", "vnpy")["convention"] == "vnpy"


def test_dates_cut_the_data() -> None:
    said = outcome(*PLAIN, "--start", "2024-02-01", "--end", "2024-02-10")

    assert said["events"] == 10


def test_options_win_over_the_settings_file() -> None:
    said = outcome("job.toml", "--capital", 77, "--set", "bars=7", "--set", "account.digits=4")

    conventions = said["conventions"]
    assert isinstance(conventions, dict)
    assert conventions["Account"] == "77.00 USD, counted to 4 decimal places"
    assert said["strategies"] == {"flip": {"class": "Flip", "bars": 7, "share": 0.5}}


def test_files_are_read_as_the_options_say() -> None:
    rows = ["time,open,high,low,close,volume"]
    rows += [f"2024-01-02 09:{30 + i}:00,10,11,9,10,100" for i in (1, 0, 2, 3, 3)]
    Path("minutes.csv").write_text("\n".join(rows) + "\n")

    said = outcome(
        *("strategies.py:Flip", "--data", "minutes.csv", "--tz", "America/New_York"),
        *("--stamp", "close", "--interval", "1m", "--fix", "sort", "--fix", "drop_duplicates"),
    )

    assert said["events"] == 4
    told = "\n".join(str(line) for line in dict(said)["conventions"].values())  # type: ignore[attr-defined]
    assert "America/New_York times" in told
    assert "A stamp is its bar's close" in told
    assert "fix sort changed 2 rows" in told


def test_adjusted_or_raw_prices() -> None:
    adjusted = statistics("strategies.py:Flip", "--sample", "AAPL")
    raw = statistics("strategies.py:Flip", "--sample", "AAPL", "--raw")

    assert adjusted["buy_hold_return"] != raw["buy_hold_return"]


# --- what is written and shown --------------------------------------------------------------------------------


def test_the_report_is_written_where_the_output_says_and_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)

    told = foxtrot("backtest", *PLAIN, "--output", "there", "--open", "--parquet")

    assert told.code == 0
    assert "Report: there/report.html" in told.out
    assert opened == [Path("there/report.html").resolve().as_uri()]
    assert Path("there/equity.parquet").exists()


def test_no_report_means_none() -> None:
    assert foxtrot("backtest", *PLAIN, "--no-report").code == 0

    assert not Path("results/strategies/report.html").exists()
    assert Path("results/strategies/trades.csv").exists()


def test_json_is_all_there_is_on_standard_output() -> None:
    told = foxtrot("backtest", "strategies.py:Flip", "--json", "--no-report")

    assert json.loads(told.out)["events"] == 2148
    assert "ran on the sample GOOG" in told.err


def test_quiet_is_quiet() -> None:
    told = foxtrot("backtest", *PLAIN, "--no-report", "--quiet")

    assert told == (0, "", "")


def test_what_a_strategy_logs_is_shown_with_the_time_of_the_simulation() -> None:
    told = foxtrot("backtest", *PLAIN, "--no-report")

    assert told.err == "2024-01-08 00:00:00 flip: seven bars have [passed]\n"


def test_what_the_user_should_know_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backtest, "find_spec", lambda _name: None)

    told = foxtrot("backtest", *PLAIN)

    assert told.code == 0
    assert "No HTML report: it needs plotly" in told.out


def test_orders_that_were_refused_and_runs_without_any_are_told_of() -> None:
    Path("odd.py").write_text(
        "from foxtrot.strategy import Strategy\n"
        "class Greedy(Strategy):\n"
        "    def on_bar(self, bar):\n"
        "        self.buy(1_000_000)\n"
        "class Idle(Strategy): ...\n"
    )

    greedy = foxtrot("backtest", "odd.py:Greedy", "--data", "prices.csv", "--no-report")
    idle = foxtrot("backtest", "odd.py:Idle", "--data", "prices.csv", "--no-report")

    assert "83 of 84 orders were rejected; SIM.greedy-1: insufficient margin" in greedy.out
    assert "No order was sent." in idle.out


# --- what is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["none.toml"], "error: none.toml: no such file"),
        (["none.py"], "error: strategy 'none.py': there is no file"),
        (["strategies.py"], "say which class, as strategies.py:Class"),
        (["strategies.py:Flap"], "no class 'Flap' in strategies.py; strategies there: Flip"),
        (["none.mod:X"], "there is no module 'none'"),
        ([*PLAIN, "--set", "bras=3"], "Flip has no parameter 'bras'; did you mean 'bars'?"),
        ([*PLAIN, "--set", "bars=x"], "Flip parameter 'bars' must be int, got 'x'"),
        ([*PLAIN, "--set", "nonsense"], "--set nonsense: expected key=value"),
        ([*PLAIN, "--set", "acount.capital=3"], "unknown key (did you mean 'account'?)"),
        ([*PLAIN, "--capital", "-5"], "capital must be positive, got -5.0"),
        ([*PLAIN, "--commission", "-1"], "fee rate must not be negative"),
        ([*PLAIN, "--leverage", "0"], "leverage must be positive"),
        ([*PLAIN, "--convention", "quantstat"], "did you mean 'quantstats'?"),
        ([*PLAIN, "--start", "yesterday"], "--start 'yesterday' is no time; write a date as"),
        ([*PLAIN, "--start", "2025-01-01"], "no row from start=2025-01-01"),
        ([*PLAIN, "--fix", "srot"], "fix 'srot' does not exist (did you mean 'sort'?)"),
        ([*PLAIN, "--tz", "Amerca/New_York"], "did you mean 'America/New_York'?"),
        ([*PLAIN, "--symbol", "TEST"], "vt_symbol 'TEST' is not SYMBOL.EXCHANGE"),
        ([*PLAIN, "--symbol", "A.LOCAL", "--symbol", "B.LOCAL"], "--symbol is given 2 times"),
        ([*PLAIN, "--data", "prices.csv"], "data of PRICES.LOCAL is loaded already"),
        (
            ["strategies.py:Flip", "--data", "price.csv"],
            "no such file (did you mean 'prices.csv'?)",
        ),
        (["strategies.py:Flip", "--sample", "GOGO"], "there is no sample 'GOGO'"),
        ([*PLAIN, "--output", "prices.csv"], "prices.csv is a file; choose another folder"),
    ],
)
def test_wrong_input_is_one_line_and_two(arguments: list[str], told: str) -> None:
    said = foxtrot("backtest", *arguments)

    assert said.code == 2
    assert said.out == ""
    assert told in said.err
    assert said.err.startswith("error: ")
    assert len(said.err.splitlines()) == 1


@pytest.mark.parametrize("arguments", [["--market-fill", "x"], ["--nonsense"], []])
def test_wrong_usage_is_two(arguments: list[str]) -> None:
    said = foxtrot("backtest", *(PLAIN if arguments else ()), *arguments)

    assert said.code == 2
    assert "Usage: foxtrot backtest" in said.err


def test_bad_data_names_file_line_column_and_fix() -> None:
    Path("bad.csv").write_text(
        "date,open,high,low,close\n2024-01-03,10,11,9,10\n2024-01-02,10,9,11,10\n"
    )

    said = foxtrot("backtest", "strategies.py:Flip", "--data", "bad.csv")

    assert said.code == 2
    assert "bad.csv, line 3, column 'high': the high 9.0 is below the low 11.0" in said.err
    assert "--fix drop_invalid --fix sort" in said.err


def test_a_strategy_that_raises_is_one_with_bar_time_and_its_own_traceback() -> None:
    said = foxtrot("backtest", "strategies.py:Faulty", "--data", "prices.csv")

    assert said.code == 1
    assert "self.divide(bar.close_price)" in said.err
    assert "leg_handler" not in said.err
    assert "error: strategy faulty raised ZeroDivisionError: float division by zero" in said.err
    assert "2024-02-03T00:00:00" in said.err
    assert "PRICES.LOCAL" in said.err


def test_debug_shows_everything() -> None:
    said = foxtrot("backtest", "strategies.py:Faulty", "--data", "prices.csv", "--debug")

    assert said.code == 1
    assert "leg_handler" in said.err
    assert "foxtrot.core.errors.StrategyError" in said.err


def test_what_nobody_foresaw_is_seventy_with_its_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_arguments: object) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(backtest, "run_backtest_job", fail)

    said = foxtrot("backtest", "job.toml")

    assert said.code == 70
    assert "RuntimeError: unforeseen" in said.err
    assert "this is a fault of Foxtrot; please report it" in said.err


def test_an_interrupt_is_a_hundred_and_thirty(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(backtest, "run_backtest_job", stop)

    assert foxtrot("backtest", "job.toml") == (130, "", "interrupted\n")


def test_the_settings_are_those_of_the_file() -> None:
    Path("typo.toml").write_text(SETTINGS.replace("vt_symbol", "vt_symbl"))

    said = foxtrot("backtest", "typo.toml")

    assert said.code == 2
    assert said.err.startswith(
        "error: typo.toml:5: data[0].vt_symbl: unknown key (did you mean 'vt_symbol'?)"
    )
