"""``foxtrot data check`` and ``foxtrot data sample``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from foxtrot.data import load, make_bars, sample_bars
from tests.unit.cli.cli_helpers import foxtrot

GOOD = "date,open,high,low,close,volume\n2024-01-02,10,11,9,10,5\n2024-01-03,10,11,9,10,5\n"
BAD = (
    "date,open,high,low,close,volume\n"
    "2024-01-02,10,11,9,10.5,100\n"
    "2024-01-04,10,9,11,10.5,100\n"
    "2024-01-03,10,11,9,10.5,abc\n"
)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    Path("good.csv").write_text(GOOD)
    Path("bad.csv").write_text(BAD)


def test_good_data_is_described_with_what_was_assumed() -> None:
    told = foxtrot("data", "check", "good.csv")

    assert told.code == 0
    assert told.out.startswith("good.csv: 2 bars of 1d, 2024-01-02 00:00 to 2024-01-03 00:00 UTC\n")
    assert "A stamp is its bar's open, since stamp was not given." in told.out
    assert told.out.endswith("No errors.\n")


def test_bad_data_is_a_table_with_line_column_and_fix_and_the_code_one() -> None:
    told = foxtrot("data", "check", "bad.csv")

    assert told.code == 1
    rows = [line for line in told.out.splitlines() if line.startswith("error")]
    assert rows[0].split()[:3] == ["error", "4", "volume"]
    assert "'abc' is no number (fix: drop_nan or fill_zero)" in rows[0]
    assert "the high 9.0 is below the low 11.0" in rows[1]
    assert "is earlier than the row before it" in rows[2]
    assert "3 errors." in told.out
    assert "To mend: --fix drop_nan --fix drop_invalid --fix sort" in told.out


def test_more_errors_than_are_listed_are_counted() -> None:
    rows = "".join(f"2024-01-{day:02d},10,9,11,10,5\n" for day in range(1, 10))
    Path("many.csv").write_text("date,open,high,low,close,volume\n" + rows)

    told = foxtrot("data", "check", "many.csv")

    assert "9 errors, of which 5 are listed." in told.out


def test_fixed_data_is_written_and_reads_back() -> None:
    told = foxtrot(
        *("data", "check", "bad.csv", "--fix", "fill_zero", "--fix", "drop_invalid"),
        *("--fix", "sort", "--output", "fixed.csv"),
    )

    assert told.code == 0
    assert "fix drop_invalid changed 1 rows" in told.out
    assert "fixed.csv: 2 rows" in told.out
    assert foxtrot("data", "check", "fixed.csv").code == 0
    assert load("fixed.csv", "X.LOCAL").columns.volume.tolist() == [100.0, 0.0]  # type: ignore[union-attr]


def test_nothing_is_written_while_errors_are_left() -> None:
    told = foxtrot("data", "check", "bad.csv", "--fix", "sort", "--out", "fixed.csv")

    assert told.code == 1
    assert not Path("fixed.csv").exists()


def test_findings_as_json() -> None:
    bad = foxtrot("data", "check", "bad.csv", "--json")
    good = foxtrot("data", "check", "good.csv", "--json", "--output", "copy.csv")

    said = json.loads(bad.out)
    assert (bad.code, said["ok"], said["rows"]) == (1, False, None)
    assert said["counts"] == {"not_a_number": 1, "high_below_low": 1, "unsorted": 1}
    assert said["issues"][0]["row"] == 4
    assert said["issues"][0]["fixes"] == ["drop_nan", "fill_zero"]
    assert json.loads(good.out)["rows"] == 2
    assert "copy.csv: 2 rows" in good.err


def test_options_say_how_to_read() -> None:
    Path("odd.csv").write_text(
        "when,open,high,low,close\n02.01.2024 09:30,1,1,-1,1\n02.01.2024 09:31,1,1,1,1\n"
    )
    arguments = [
        "data",
        "check",
        "odd.csv",
        "--time-format",
        "%d.%m.%Y %H:%M",
        "--tz",
        "Asia/Tokyo",
    ]

    refused = foxtrot(*arguments)
    told = foxtrot(*arguments, "--allow-negative", "--stamp", "close", "--interval", "1m")

    assert refused.code in (1, 2)
    if "time" not in refused.err:
        assert told.code == 0
        assert "2024-01-02 00:29 to 2024-01-02 00:30 UTC" in told.out


def test_one_of_several_symbols_is_checked() -> None:
    Path("two.csv").write_text(
        "symbol,date,open,high,low,close\nA,2024-01-02,1,1,1,1\nB,2024-01-02,1,1,1,1\n"
    )

    refused = foxtrot("data", "check", "two.csv")
    told = foxtrot("data", "check", "two.csv", "--symbol", "B.LOCAL", "--interval", "1d")

    assert refused.code == 2
    assert "holds 2 symbols" in refused.err
    assert told.code == 0
    assert "1 bars of 1d" in told.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["none.csv"], "none.csv: no such file"),
        (["good.csv", "--fix", "srot"], "did you mean 'sort'?"),
        (["good.csv", "--tz", "Mars/Crater"], "time zone 'Mars/Crater' is unknown"),
        (["good.csv", "--output", "good.csv"], "is the file itself; write to another one"),
        (["good.csv", "--output", "x.parquet"], "must end in .csv or .csv.gz"),
    ],
)
def test_what_cannot_be_checked_is_two(arguments: list[str], told: str) -> None:
    said = foxtrot("data", "check", *arguments)

    assert said.code == 2
    assert told in said.err
    assert Path("good.csv").read_text() == GOOD


def test_samples_are_listed() -> None:
    told = foxtrot("data", "sample")

    assert told.code == 0
    rows = [line.split() for line in told.out.splitlines()]
    assert ["GOOG", "GOOG.NASDAQ", "2004-08-19", "2013-03-01", "2,148"] in rows
    assert len(rows) == 7


def test_samples_are_exported() -> None:
    told = foxtrot("data", "sample", "--out", "all")
    raw = foxtrot("data", "sample", "--output", "raw", "--ticker", "AAPL", "--raw")

    assert (told.code, raw.code) == (0, 0)
    assert len(list(Path("all").iterdir())) == 5
    assert [path.name for path in Path("raw").iterdir()] == ["AAPL.csv"]
    written = load("raw/AAPL.csv", "AAPL.NASDAQ").columns
    assert written.close_price.tolist() == (  # type: ignore[union-attr]
        sample_bars("AAPL", adjusted=False).close_price.tolist()
    )


def test_the_same_seed_makes_the_same_files() -> None:
    for folder in ("one", "two"):
        told = foxtrot(
            *("data", "sample", "--output", folder),
            *("--bars", 100, "--ticks", 50, "--seed", 7),
        )
        assert told.code == 0
    other = foxtrot("data", "sample", "--output", "three", "--bars", 100)

    assert sorted(path.name for path in Path("one").iterdir()) == ["bars.csv", "ticks.csv"]
    assert Path("one/ticks.csv").read_bytes() == Path("two/ticks.csv").read_bytes()
    assert Path("one/bars.csv").read_bytes() == Path("two/bars.csv").read_bytes()
    assert other.out == "three/bars.csv: 100 rows\n"
    assert Path("three/bars.csv").read_bytes() != Path("one/bars.csv").read_bytes()
    bars = load("one/bars.csv", "SYNTH.LOCAL").columns
    assert bars.close_price.tolist() == make_bars(7, 100).close_price.tolist()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--bars", "5"], "say where the files go, with --output FOLDER"),
        (["--output", "x", "--ticker", "GOGO"], "there is no sample 'GOGO'"),
        (["--output", "good.csv"], "cannot be made"),
    ],
)
def test_wrong_requests_for_samples_are_two(arguments: list[str], told: str) -> None:
    said = foxtrot("data", "sample", *arguments)

    assert said.code == 2
    assert told in said.err


def test_columns_and_the_form_of_stamps_can_be_told() -> None:
    Path("odd.csv").write_text("Day;First;High;Low;Last\n02.01.2024;1;2;1;2\n03.01.2024;2;3;2;3\n")
    names = ("--column", "time=Day", "--column", "open_price=First", "--column", "close_price=Last")

    said = foxtrot("data", "check", "odd.csv", *names, "--time-format", "%d.%m.%Y")

    assert said.code == 0, said.err
    assert "odd.csv: 2 bars of 1d, 2024-01-02" in said.out


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("close_price",), "--column close_price: write Foxtrot's name and the file's"),
        (("close_price=A", "close_price=B"), "--column close_price is given twice: 'A' and 'B'"),
    ],
)
def test_a_column_without_two_names_is_refused(given: tuple[str, ...], told: str) -> None:
    options = [part for text in given for part in ("--column", text)]

    for command in (("backtest", "strategies.py:Flip", "--data"), ("data", "check")):
        said = foxtrot(*command, "prices.csv", *options)
        assert said.code == 2
        assert told in said.err
