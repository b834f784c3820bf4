"""``foxtrot oms``: what is printed, what is asked, and the exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from foxtrot.app.oms_copies import back_up_database
from foxtrot.cli.main import app
from foxtrot.server.persistence import SqlitePersistence
from tests.unit.app.oms_world import make_database, spoil_state, sql, trade_on
from tests.unit.cli.cli_helpers import Told, foxtrot

ROOT = Path(__file__).resolve().parents[3]


def oms(*arguments: object, answer: str | None = None) -> Told:
    """Run ``foxtrot oms``, with an answer to its question."""
    if answer is None:
        return foxtrot("oms", *arguments)
    result = CliRunner().invoke(app, ["oms", *map(str, arguments)], input=answer)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Told(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``run/oms.db`` in the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("run").mkdir()
    return make_database(Path("run/oms.db"))


def test_the_help_loads_no_server(tmp_path: Path) -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from foxtrot.cli.main import app\n"
        "assert CliRunner().invoke(app, ['oms', 'verify', '--help']).exit_code == 0; print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    loaded = set(done.stdout.split())
    assert not loaded & {"numpy", "pandas", "pyarrow", "sqlite3", "zmq"}
    assert not {name for name in loaded if name.startswith("foxtrot.server")}


def test_a_whole_database_is_told_part_by_part(path: Path) -> None:
    told = oms("verify")

    assert (told.code, told.err) == (0, "")
    lines = told.out.splitlines()
    assert lines[0].startswith("run/oms.db · ")
    assert [line.split()[0] for line in lines[1:5]] == ["structure", "journal", "mark", "state"]
    assert "whole: rows 1 to" in lines[2]
    assert lines[5] == "All is well."


def test_differences_are_told_in_words_with_the_remedy_and_the_code_one(path: Path) -> None:
    spoil_state(path)

    told = oms("verify", path)

    assert told.code == 1
    assert "state      DIFFERS from the journal in 6 places" in told.out
    assert "order SIM.oms-2:\n" in told.out
    assert "status: stored ALLTRADED, by the journal PARTTRADED" in told.out
    assert "foxtrot oms rebuild run/oms.db" in told.out
    assert "Traceback" not in told.out + told.err


def test_findings_as_json(path: Path) -> None:
    good = json.loads(oms("verify", "--json").out)
    spoil_state(path)
    told = oms("verify", "--json")
    bad = json.loads(told.out)

    assert (good["ok"], good["differences"], good["high_water"]["state"]) == (True, [], "MATCHED")
    assert (told.code, bad["ok"], bad["journal"]["broken_seq"]) == (1, False, None)
    assert {"key", "stored", "rebuilt", "detail"} == set(bad["differences"][0])


def test_more_differences_than_are_shown_are_counted(path: Path) -> None:
    sql(path, "DELETE FROM oms_state WHERE key LIKE 'trades/%'")
    sql(path, "DELETE FROM oms_state WHERE key LIKE 'orders/%'")
    sql(path, "DELETE FROM trade_index")

    told = oms("verify")

    assert told.out.count("missing; by the journal it is") == 20
    assert "more; --json lists all" in told.out


def test_a_broken_journal_is_told_with_the_backup_to_restore(path: Path) -> None:
    oms("backup", path)
    sql(path, "UPDATE journal SET ts = ts + 1 WHERE seq = 7")

    told = oms("verify")

    assert told.code == 1
    assert "journal    BROKEN at row 7: row 7 is not as it was written" in told.out
    assert "foxtrot oms restore run/oms.db.backups/oms-" in told.out
    assert "oms accept" not in told.out


def test_a_rebuild_shows_asks_keeps_the_file_and_changes(path: Path) -> None:
    spoil_state(path)

    silent = oms("rebuild", path, answer="")
    refused = oms("rebuild", path, answer="n\n")
    done = oms("rebuild", path, answer="y\n")
    again = oms("rebuild", path)

    assert silent.code == 2
    assert "nobody answered, and nothing was changed; add --yes" in silent.err
    assert (refused.code, "Nothing was changed." in refused.err) == (130, True)
    assert "the state differs from the journal in 6 places" in done.out
    assert "The file as it was: " in done.out
    assert "6 rows made what the journal says" in done.out
    assert (done.code, again.code) == (0, 0)
    assert "nothing was to be done" in again.out
    assert oms("verify").code == 0


def test_backups_say_where_they_are_and_which_went(path: Path, tmp_path: Path) -> None:
    first = oms("backup", path, "--folder", tmp_path / "copies")
    second = oms("backup", path, "--folder", tmp_path / "copies", "--keep", 1)

    name = first.out.partition(" · ")[0]
    assert first.out.endswith("· checked\n")
    assert f"removed {name}" in second.out
    assert not Path(name).exists()


def test_a_restore_tells_what_is_lost_and_keeps_what_was_there(path: Path) -> None:
    backup = back_up_database(path).report.path
    trade_on(path, 3)
    head = 3 + json.loads(oms("verify", backup, "--json").out)["journal"]["last"]

    refused = oms("restore", backup, "--database", path, answer="n\n")
    done = oms("restore", backup, "--database", path, "--yes")

    lost = f"Rows {head - 2} to {head} of the journal, committed after the backup,"
    assert refused.code == 130
    assert f"{lost} would be gone from here" in refused.out
    assert done.code == 0
    assert f"{lost} are gone from here" in done.out
    assert "oms.db.damaged-1" in done.out
    shown = oms("journal", "run/oms.db.damaged-1", "--after", head - 3)
    assert [f"later {number}" in shown.out for number in range(3)] == [True] * 3
    assert oms("verify").code == 0


def test_accepting_explains_and_asks(path: Path) -> None:
    nothing = oms("accept", path)
    mark = Path("run/oms.db.hwm")
    copy = Path("copy.db")
    copy.write_bytes(path.read_bytes())
    trade_on(path, 2)
    Path("copy.db.hwm").write_bytes(mark.read_bytes())

    checked = oms("verify", copy)
    refused = oms("accept", copy, answer="n\n")
    done = oms("accept", copy, "-y")

    assert "there is nothing to accept" in nothing.out
    assert checked.code == 1
    assert "mark       DISAGREES: row" in checked.out
    assert "foxtrot oms accept copy.db" in checked.out
    assert refused.code == 130
    assert "were committed and acknowledged once" in refused.out
    assert done.code == 0
    assert "Accepted: the journal counts as it ends" in done.out
    assert oms("verify", copy).code == 0


def test_a_lost_mark_is_a_warning(path: Path) -> None:
    Path("run/oms.db.hwm").unlink()

    told = oms("verify")
    done = oms("accept", path, answer="y\n")

    assert told.code == 0
    assert "mark       UNKNOWN" in told.out
    assert "All is well" not in told.out
    assert "the journal is complete as it ends" in done.out
    assert "All is well" in oms("verify").out


def test_an_archive_tells_what_moved(path: Path) -> None:
    pytest.importorskip("pyarrow")

    done = oms("archive", path, "--before", "2023-11-15")
    again = oms("archive", path, "--before", "2023-11-15")

    assert done.code == 0
    assert "closed orders and" in done.out
    assert "Database: " in done.out
    assert "Archived" in oms("journal", path).out
    # The note of the first archive is of today.
    assert "nothing was moved" in again.out
    assert "after" in oms("verify").out


def test_orders_and_fills_are_listed_and_go_on_where_they_ended(path: Path) -> None:
    every = oms("orders", path)
    first = oms("orders", path, "--limit", 3, "--newest")
    cursor = first.err.partition("--cursor ")[2].strip()
    second = oms("orders", path, "--limit", 3, "--newest", "--cursor", cursor)
    fills = oms("trades", path, "--strategy", "trend", "--symbol", "AAPL.NASDAQ")

    assert every.err == "10 orders\n"
    assert len(every.out.splitlines()) == 11
    assert "LONG 10 LIMIT 100" in every.out
    assert [line.split()[2] for line in first.out.splitlines()[1:]] == [
        f"SIM.oms-{number}" for number in (10, 9, 8)
    ]
    assert "SIM.oms-7" in second.out.splitlines()[1]
    assert fills.code == 0
    assert {line.split()[5] for line in fills.out.splitlines()[1:]} == {"AAPL.NASDAQ"}


def test_history_between_days_and_as_json(path: Path) -> None:
    none = oms("orders", path, "--from", "2023-11-15")
    day = oms("trades", path, "--from", "2023-11-14", "--to", "2023-11-14", "--json")
    rows = oms("journal", path, "--stream", "s/trend", "--after", 2, "--limit", 1, "--json")

    assert (none.code, none.out, none.err) == (0, "", "No orders.\n")
    fill = json.loads(day.out)["items"][0]
    assert (fill["vt_symbol"], fill["volume"]) == ("MSFT.NASDAQ", 4.0)
    (row,) = json.loads(rows.out)["items"]
    assert (row["stream"], row["stream_seq"], row["kind"]) == ("s/trend", 3, "Order")
    assert row["fact"]["vt_orderid"] == "SIM.oms-3"


def test_the_journal_is_listed_in_words(path: Path) -> None:
    told = oms("journal", path, "--newest", "--limit", 2)

    assert told.err == "2 facts\n"
    assert "→ CANCELLED" in told.out.splitlines()[-1]


def test_a_database_in_use_is_75_and_its_backup_can_be_read(path: Path) -> None:
    backup = back_up_database(path).report.path
    with SqlitePersistence(path, lock_timeout=0) as db:
        db.connect()
        for command in (
            ("verify",),
            ("orders", path),
            ("trades", path),
            ("journal", path),
            ("rebuild", path),
            ("backup", path),
            ("accept", path),
            ("archive", path, "--before", "2023-11-15"),
            ("restore", backup, "--database", path),
        ):
            told = oms(*command)
            assert told.code == 75, command
            assert told.err.startswith("error: run/oms.db is in use by process ")
            assert "from its newest backup meanwhile: run/oms.db.backups/" in told.err
        assert oms("orders", backup).code == oms("verify", backup).code == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["verify", "none.db"], "none.db: no such file"),
        (["verify", "prices.csv"], "is no database"),
        (["rebuild", "old.bak"], "is a copy, which is only read"),
        (["restore", "none.bak", "--database", "run/oms.db"], "no such file; name a backup"),
        (["archive", "run/oms.db", "--before", "soon"], "--before 'soon' is no time"),
        (["archive", "run/oms.db", "--before", "9000-01-01"], "lies in the future"),
        (["orders", "run/oms.db", "--cursor", "x"], "'x' is no cursor"),
        (["orders", "run/oms.db", "--from", "14.11.2023"], "is no time"),
        (["journal", "run/oms.db", "--stream", "x"], "there is no stream 'x'"),
    ],
)
def test_wrong_input_is_two_and_one_line(path: Path, arguments: list[str], told: str) -> None:
    Path("prices.csv").write_text("date,open\n" * 20)
    Path("old.bak").touch()

    said = oms(*arguments)

    assert (said.code, said.out) == (2, "")
    assert told in said.err
    assert said.err.count("\n") == 1
