"""Every example and every settings file runs as it is, from any folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from foxtrot.app.backtest import run_backtest_job
from foxtrot.app.settings import load_job
from foxtrot.strategy.loader import load_strategy_class

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((ROOT / "examples").glob("*.py"))
STRATEGIES = sorted((ROOT / "examples" / "strategies").glob("*.py"))
CONFIGS = sorted(path for path in (ROOT / "configs").glob("*.toml") if path.stem != "paper")


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_there_are_examples_and_settings() -> None:
    assert len(SCRIPTS) >= 1
    assert len(STRATEGIES) >= 3
    assert {path.stem for path in CONFIGS} >= {"backtest", "donchian", "rsi"}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_an_example_runs_without_arguments_and_prints(tmp_path: Path, script: Path) -> None:
    done = run(tmp_path, "-W", "error", str(script))

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "sharpe" in done.stdout
    assert "... 65 fills in all" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_settings_run_and_trade(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: Path
) -> None:
    monkeypatch.chdir(tmp_path)

    outcome = run_backtest_job(load_job(config))

    assert outcome.folder == Path("results") / outcome.name
    assert {file.name for file in outcome.files} >= {"report.html", "trades.csv", "orders.csv"}
    assert outcome.statistics.trades >= 20
    assert outcome.statistics.commissions > 0.0
    assert json.loads((outcome.folder / "statistics.json").read_text())["name"] == outcome.name


@pytest.mark.parametrize("path", STRATEGIES, ids=lambda path: path.stem)
def test_a_strategy_is_used_by_settings_and_imports_by_path(path: Path) -> None:
    used = [job for job in map(load_job, CONFIGS) if path.name in job.strategy[0].path]

    strategy = load_strategy_class(str(path))

    assert used
    assert strategy.__doc__


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_settings_show_the_command_that_runs_them(config: Path) -> None:
    assert f"foxtrot backtest configs/{config.name}" in config.read_text(encoding="utf-8")


def test_the_command_runs_from_any_folder(tmp_path: Path) -> None:
    config = str(ROOT / "configs" / "backtest.toml")

    done = run(tmp_path, "-m", "foxtrot.cli", "backtest", config, "--no-report")

    assert done.returncode == 0, done.stderr
    assert "Backtest · sma_cross" in done.stdout
    assert (tmp_path / "results" / "sma_cross" / "trades.csv").exists()
