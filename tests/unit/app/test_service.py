"""The backtest as a process: JSON lines and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from foxtrot.app.service import run_backtest_service
from tests.unit.app.app_helpers import SETTINGS, make_world


def run(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[dict[str, object]]]:
    code = run_backtest_service(arguments)
    told = capfd.readouterr()
    assert told.out == ""
    return code, [json.loads(line) for line in told.err.splitlines()]


def test_a_run_is_logged_as_json_lines(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = make_world(tmp_path)

    code, lines = run(capfd, "--config", str(path), "--name", "night")

    assert code == 0
    assert lines[0]["msg"] == "starts"
    done = lines[-1]
    assert (done["msg"], done["logger"], done["job"]) == ("done", "foxtrot.service.night", "flip")
    assert done["events"] == 84
    assert (tmp_path / "out" / "statistics.json").exists()
    assert any(line["logger"] == "foxtrot.strategy.flip" for line in lines)


def test_bad_settings_end_with_two(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, lines = run(capfd, "--config", str(tmp_path / "none.toml"))

    assert code == 2
    assert (lines[-1]["level"], lines[-1]["exit_code"]) == ("ERROR", 2)
    assert "none.toml: no such file" in str(lines[-1]["msg"])


def test_a_failing_strategy_ends_with_one(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = make_world(tmp_path, SETTINGS.replace("Flip", "Faulty").replace("{ bars = 4 }", "{}"))

    code, lines = run(capfd, "--config", str(path))

    assert code == 1
    assert "ZeroDivisionError" in str(lines[-1]["exc"])


def test_the_settings_file_must_be_named(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run_backtest_service([])

    assert caught.value.code == 2
    assert "--config" in capfd.readouterr().err
