"""How a program ends, and what a person is shown of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from foxtrot.app.backtest import run_backtest_job
from foxtrot.app.failures import exit_code, user_traceback
from foxtrot.app.settings import load_job
from foxtrot.core.errors import ConfigError, DataError, OmsError, StrategyError
from foxtrot.server.persistence_lock import DatabaseInUseError
from tests.unit.app.app_helpers import SETTINGS, make_world


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StrategyError("x"), 1),
        (ConfigError("x"), 2),
        (DataError("x"), 2),
        (OmsError("x"), 2),
        (DatabaseInUseError("x"), 75),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError(), 70),
    ],
)
def test_each_kind_of_error_has_its_exit_code(error: BaseException, code: int) -> None:
    assert exit_code(error) == code


def failure_of(folder: Path, strategy: str) -> StrategyError:
    text = SETTINGS.replace("Flip", strategy).replace("{ bars = 4 }", "{}")
    with pytest.raises(StrategyError) as caught:
        run_backtest_job(load_job(make_world(folder, text)))
    return caught.value


def test_the_traceback_begins_with_the_users_own_code(tmp_path: Path) -> None:
    error = failure_of(tmp_path, "Faulty")

    lines = user_traceback(error).splitlines()

    files = [line for line in lines if line.strip().startswith("File ")]
    assert lines[0] == "Traceback (most recent call last):"
    assert [Path(line.split('"')[1]).name for line in files] == ["strategies.py"] * 2
    assert lines[-1] == "ZeroDivisionError: float division by zero"
    assert "TEST.LOCAL" in str(error)
    assert "2024-02-03T00:00:00" in str(error)


def test_of_our_own_errors_the_traceback_ends_where_the_users_code_called(tmp_path: Path) -> None:
    lines = user_traceback(failure_of(tmp_path, "Wrong")).splitlines()

    assert [line for line in lines if "File" in line and "strategies.py" not in line] == []
    assert "self.buy(-1)" in lines[2]
    assert "volume must be positive, got -1" in lines[-1]


def test_other_errors_have_no_traceback_for_users() -> None:
    assert user_traceback(ConfigError("x")) == ""
    assert user_traceback(StrategyError("x")) == ""
    error = StrategyError("x")
    error.__cause__ = ValueError("never raised")
    assert user_traceback(error) == ""
