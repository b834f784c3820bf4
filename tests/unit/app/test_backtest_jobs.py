"""The jobs of the backtest service: kept, numbered, brought back; their settings as text; what their processes say."""

from __future__ import annotations

import math
import os
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foxtrot.app.backtest_jobs import JobRecord, JobResult, JobStore, check_id
from foxtrot.app.backtest_submission import minted_id, record_of
from foxtrot.app.backtest_wire import LineReader, Progress, Stage, send
from foxtrot.app.job_text import job_from_text, job_to_text, to_toml
from foxtrot.app.service import run_backtest_service
from foxtrot.app.settings import load_job
from foxtrot.bus.messages import BacktestSubmit
from foxtrot.bus.rpc_methods import Incoming
from foxtrot.core.errors import ConfigError, PersistenceError
from tests.unit.app.app_helpers import SETTINGS, make_world
from tests.unit.cli.cli_helpers import foxtrot


def record(id_: str, **more: Any) -> JobRecord:
    told: dict[str, Any] = {
        "number": 0, "config": "", "folder": "/", "wiring": "inline", "name": "n", "output": "/out",
    }  # fmt: skip
    return JobRecord(id=id_, **{**told, **more})


# --- the store ----------------------------------------------------------------------------------------------


def test_jobs_are_numbered_in_order_of_arrival_and_found_again(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "jobs")
    for id_ in ("b", "a", "c"):
        store.add(record(id_))
    store.update("b", state="RUNNING", attempts=1)

    again = JobStore(tmp_path / "jobs")

    assert [(job.id, job.number, job.state) for job in again.jobs()] == [
        ("b", 1, "RUNNING"), ("a", 2, "QUEUED"), ("c", 3, "QUEUED"),
    ]  # fmt: skip
    again.requeue("b")
    first = again.next_queued()
    assert first is not None
    assert (first.id, first.attempts) == ("b", 1)  # in its place, and known to have been started
    assert again.add(record("d")).number == 4


def test_files_are_private_and_none_is_half_written(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "jobs")
    store.add(record("a"))
    store.save_result("a", JobResult(files=("f",), document="{}", ts=(1,), equity=(2.0,)))

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in store.folder.iterdir()}

    assert modes == {"a.json": 0o600, "a.result.json": 0o600}
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700
    assert JobStore(tmp_path / "jobs").result("a").equity == (2.0,)


def test_a_damaged_file_is_put_aside_and_the_others_are_kept(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "jobs")
    store.add(record("a"))
    store.add(record("b"))
    store.path("a").write_text('{"id": "a", "num')
    store.path("x").write_bytes(store.path("b").read_bytes())  # a copy under another name

    again = JobStore(tmp_path / "jobs")

    assert [job.id for job in again.jobs()] == ["b"]
    assert sorted(path.name for path in store.folder.iterdir()) == [
        "a.damaged", "b.json", "x.damaged",
    ]  # fmt: skip


def test_a_change_that_the_disk_refuses_is_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = JobStore(tmp_path / "jobs")
    store.add(record("a"))

    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        assert store.update("a", state="DONE").state == "DONE"
        with pytest.raises(PersistenceError, match="No space"):
            store.add(record("b"))
    assert (store.dirty, store.get("b")) == ({"a"}, None)
    assert JobStore(tmp_path / "jobs").jobs()[0].state == "QUEUED"

    assert store.flush()
    assert JobStore(tmp_path / "jobs").jobs()[0].state == "DONE"


def test_old_finished_jobs_are_forgotten_and_unfinished_ones_never(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "jobs", keep=1)
    for id_, state in (("a", "QUEUED"), ("b", "DONE"), ("c", "FAILED"), ("d", "CANCELLED")):
        store.add(record(id_, state=state))
    store.save_result("b", JobResult())

    assert store.prune() == ["b", "c"]
    assert sorted(path.name for path in store.folder.iterdir()) == ["a.json", "d.json"]


@pytest.mark.parametrize("id_", ["", "../x", "a.b", "a b", "a/b", "x" * 65, "a\n"])
def test_ids_that_could_be_paths_are_refused(id_: str) -> None:
    with pytest.raises(ConfigError, match="id of a job"):
        check_id(id_)


# --- settings as text ---------------------------------------------------------------------------------------


def test_settings_travel_as_text_and_come_back_equal(tmp_path: Path) -> None:
    path = make_world(tmp_path, SETTINGS.replace("[[data]]", "start = 2024-01-02\n\n[[data]]"))
    job = load_job(path)

    back = job_from_text(job_to_text(job), tmp_path)

    assert back == job
    assert back.folder == tmp_path / "out"


def test_relative_paths_are_relative_to_the_given_folder(tmp_path: Path) -> None:
    text = 'data = [{ path = "p.csv" }]\nstrategy = [{ path = "s.py:S" }]\n'

    job = job_from_text(text, tmp_path, "night")

    assert job.data[0].path == tmp_path / "p.csv"
    assert job.strategy[0].path == f"{tmp_path / 's.py'}:S"
    assert job.folder == tmp_path / "results" / "night"


values = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False) | st.dates() | st.datetimes()
    | st.text(st.characters(exclude_categories=("Cs",))),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("aé .\"\x7f-", max_size=4), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(st.dictionaries(st.text('ab._" \\', max_size=4), values, max_size=4))
def test_what_is_written_as_toml_reads_as_it_was(table: dict[str, Any]) -> None:
    assert tomllib.loads(to_toml(table)) == table


def test_infinities_survive_and_none_is_refused() -> None:
    read = tomllib.loads(to_toml({"a": math.inf, "b": -math.inf, "c": math.nan}))
    assert (read["a"], read["b"], math.isnan(read["c"])) == (math.inf, -math.inf, True)
    with pytest.raises(TypeError, match="no form"):
        to_toml({"a": None})


# --- submissions --------------------------------------------------------------------------------------------

TEXT = 'data = [{ sample = "GOOG" }]\nstrategy = [{ path = "s.py:S" }]\n'


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"config": "name = "}, "not valid TOML"),
        ({"config": "nme = 1"}, "unknown key"),
        ({"config": "name = 'x'"}, "need a"),
        ({"config": "x" * 300_000}, "262,144 characters"),
        ({"folder": "here"}, "absolute"),
        ({"folder": "/no/such/folder"}, "absolute"),
        ({"wiring": "lockstep"}, "use one of: inline"),
    ],
)
def test_what_is_wrong_with_a_job_is_told_at_once(
    tmp_path: Path, changes: dict[str, str], match: str
) -> None:
    asked = BacktestSubmit(**{"config": TEXT, "folder": str(tmp_path), **changes})

    with pytest.raises(ConfigError, match=match):
        record_of("a", asked, 5)


def test_a_job_without_an_id_gets_the_same_one_whenever_the_request_comes_again() -> None:
    def request(id_: str, source: str) -> Incoming:
        return Incoming(id_, "bt.submit", None, source, 1, 0)

    ids = [minted_id(request(*of)) for of in (("1", "x"), ("1", "x"), ("2", "x"), ("1", "y"))]

    assert ids[0] == ids[1] == check_id(ids[0])
    assert len(set(ids)) == 3


# --- the pipe -----------------------------------------------------------------------------------------------


def test_lines_come_whole_and_junk_between_them_is_passed_over() -> None:
    reading, writing = os.pipe()
    reader = LineReader(reading)
    send(writing, Stage("running"))
    os.write(writing, b'junk\n{"type":"stage"}\n\xff\xfe\n{"type":"prog')
    assert list(reader.read()) == [Stage("running")]
    assert (reader.refused, reader.ended) == (3, False)
    assert list(reader.read()) == []
    assert reader.dry

    os.write(writing, b'ress","done":1,"total":2,"ts":3}\n')
    os.close(writing)
    assert list(reader.read()) == [Progress(1, 2, 3)]
    assert list(reader.read()) == []
    assert reader.ended
    reader.close()
    reader.close()


# --- the entry point ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["--serve"], "--config"), (["--serve", "--run", "r", "--slots", "0"], "from 1 to 64")],
)
def test_what_the_process_is_told_must_make_sense(
    arguments: list[str], told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run_backtest_service(arguments)
    assert caught.value.code == 2
    assert told in capfd.readouterr().err


def test_a_backtest_service_is_only_named_where_it_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "add --remote" in foxtrot("backtest", "a:B", "--run", "r").err
    assert "no such folder" in foxtrot("backtest", "a:B", "--remote", "--run", "r").err
    assert "either" in foxtrot("jobs", "list", "--run", "r", "--config", "c").err
    assert "no configs/paper.toml" in foxtrot("jobs").err
