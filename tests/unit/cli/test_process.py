"""The program as a process: quick to start, clean streams, exit codes, colours and the progress bar."""

from __future__ import annotations

import importlib.metadata
import json
import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.app.app_helpers import make_world

ROOT = Path(__file__).resolve().parents[3]
HEAVY = {"numpy", "pandas", "plotly", "pyarrow", "zmq"}


def environment(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


def foxtrot(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "foxtrot.cli", *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def on_terminal(folder: Path, *arguments: str, **more: str) -> str:
    """Run with standard output and error on a terminal of 80 columns; return what it shows."""
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "foxtrot.cli", *arguments]
    env = environment(TERM="xterm-256color", COLUMNS="80", **more)
    with subprocess.Popen(command, cwd=folder, env=env, stdout=follower, stderr=follower) as child:
        os.close(follower)
        shown = b""
        while select.select([leader], [], [], 60)[0]:
            try:
                shown += os.read(leader, 65536)
            except OSError:  # the other end is closed
                break
        child.wait(60)
    os.close(leader)
    return shown.decode()


def test_the_version_is_told(tmp_path: Path) -> None:
    done = foxtrot(tmp_path, "--version")

    assert done.stdout == f"foxtrot {importlib.metadata.version('foxtrot-trading')}\n"
    assert (done.returncode, done.stderr) == (0, "")


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from foxtrot.cli.main import app\n"
        "assert CliRunner().invoke(app, ['backtest', '--help']).exit_code == 0; print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    loaded = set(done.stdout.split())
    assert not loaded & HEAVY
    assert not {name for name in loaded if name.startswith(("foxtrot.server", "foxtrot.strategy"))}


@pytest.mark.parametrize("command", [[], ["backtest"], ["data"], ["data", "check"]])
def test_every_help_tells_the_usage(tmp_path: Path, command: list[str]) -> None:
    done = foxtrot(tmp_path, *command, "--help")

    assert done.returncode == 0
    assert f"Usage: foxtrot {' '.join(command)}".strip() in done.stdout


def test_off_a_terminal_there_is_no_bar_and_no_colour_and_json_is_clean(tmp_path: Path) -> None:
    make_world(tmp_path)

    done = foxtrot(
        tmp_path, "backtest", "strategies.py:Flip", "--sample", "FB", "--json", "--no-report"
    )

    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert done.stderr == "2012-05-30 00:00:00 flip: seven bars have [passed]\n"
    assert json.loads(done.stdout)["instruments"] == ["FB.NASDAQ"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["backtest", "none.toml"], 2),
        (["backtest", "strategies.py:Faulty", "--data", "prices.csv"], 1),
    ],
)
def test_exit_codes_reach_the_shell(tmp_path: Path, arguments: list[str], code: int) -> None:
    make_world(tmp_path)

    done = foxtrot(tmp_path, *arguments)

    assert (done.returncode, done.stdout) == (code, "")
    assert "error: " in done.stderr


def test_on_a_terminal_there_is_a_bar_with_rate_and_colours(tmp_path: Path) -> None:
    make_world(tmp_path)

    shown = on_terminal(tmp_path, "backtest", "job.toml")

    assert "events/s" in shown
    assert "100%" in shown
    assert "\x1b[" in shown
    assert "Backtest · flip" in shown


def test_no_color_is_honoured(tmp_path: Path) -> None:
    make_world(tmp_path)

    shown = on_terminal(tmp_path, "backtest", "none.toml", NO_COLOR="1")
    summary = on_terminal(tmp_path, "backtest", "job.toml", NO_COLOR="1")

    assert "\x1b" not in shown
    assert "error: none.toml: no such file" in shown
    assert not {code for code in ("\x1b[31", "\x1b[32", "\x1b[33") if code in summary}


def test_the_service_runs_the_same_job(tmp_path: Path) -> None:
    path = make_world(tmp_path)

    done = subprocess.run(
        [sys.executable, "-m", "services.backtest", "--config", str(path), "--name", "night"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert (lines[-1]["msg"], lines[-1]["logger"]) == ("done", "foxtrot.service.night")
    assert (tmp_path / "out" / "trades.csv").exists()
