"""The frame of a service's process, by way of the smallest service there is (the recorder)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from foxtrot.app.installation import load_installation
from foxtrot.app.process import READY, ServiceProcess, next_epoch
from foxtrot.app.process_lock import ServiceInUseError
from foxtrot.core.clock import SimulatedClock
from tests.integration.service_world import ROOT, Desk, installation

NAME = "recorder"


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("p")


@pytest.fixture
def desk(folder: Path) -> Iterator[Desk]:
    desk = Desk(installation(folder))
    yield desk
    desk.close()


def test_it_says_what_it_is_and_beats_once_a_second(desk: Desk) -> None:
    child = desk.start("recorder", NAME)
    status = desk.until_state(NAME, READY)
    assert (status.service, status.role, status.pid) == (NAME, "recorder", child.child.pid)
    assert status.counters["errors"] == 0
    desk.listen(NAME)
    begin = time.monotonic()
    desk.pump(lambda: len(desk.beats) >= 3)
    assert 1.5 < time.monotonic() - begin < 5.0
    assert {(b.service, b.status, b.pid) for b in desk.beats} == {(NAME, READY, child.child.pid)}
    assert {b.epoch for b in desk.beats} == {status.epoch}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(desk: Desk, number: int) -> None:
    child = desk.start("recorder", NAME)
    desk.until_state(NAME, READY)
    assert child.stop(number) == 0
    lines = child.lines
    assert lines[-1]["msg"] == "stopped"
    assert lines[-1]["reason"] == f"signal {signal.Signals(number).name}"
    assert lines[0]["epoch"] > 1_600_000_000
    assert not any(line["level"] in ("ERROR", "CRITICAL") for line in lines)


def test_each_start_has_a_new_epoch_and_sockets_are_taken_over_after_sigkill(desk: Desk) -> None:
    child = desk.start("recorder", NAME)
    first = desk.until_state(NAME, READY)
    assert child.stop(signal.SIGKILL) == -signal.SIGKILL
    desk.start("recorder", NAME)
    second = desk.until_state(NAME, READY)
    assert second.epoch > first.epoch
    assert second.pid != first.pid


def test_a_second_one_of_the_name_gives_up_and_harms_nobody(desk: Desk) -> None:
    child = desk.start("recorder", NAME)
    status = desk.until_state(NAME, READY)
    other = desk.start("recorder", NAME)
    assert other.wait() == 75
    assert f"process {child.child.pid} runs as 'recorder' already" in other.log.read_text()
    assert desk.status(NAME).pid == status.pid
    assert desk.status(NAME).epoch == status.epoch


@pytest.mark.parametrize(
    ("text", "told"),
    [("[oms", "not valid TOML"), ('nam = "x"', "nam"), ("", "adapters")],
)
def test_a_wrong_file_is_told_and_ends_it_with_2(folder: Path, text: str, told: str) -> None:
    config = folder / "wrong.toml"
    config.write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "services.recorder", "--config", config, "--name", NAME],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert told in done.stdout
    assert "wrong.toml" in done.stdout


PARENT = """
import subprocess, sys, os
child = subprocess.Popen([sys.executable, "-m", "services.recorder", *sys.argv[1:]])
print(child.pid, flush=True)
child.wait()
"""


def test_it_ends_when_the_supervisor_that_started_it_dies(desk: Desk) -> None:
    env = {**os.environ, "SUPERVISOR_ENABLED": "1"}
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, "--config", desk.config, "--name", NAME],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    try:
        pid = int(parent.stdout.readline())
        desk.until_state(NAME, READY)
    finally:
        parent.kill()
        parent.wait(10)
        parent.stdout.close()
    stat = Path(f"/proc/{pid}/stat")
    desk.pump(lambda: not stat.exists() or stat.read_text().split()[2] == "Z", 6.0)


# --- within this process ------------------------------------------------------------------------------------


def test_a_stop_while_it_starts_is_not_forgotten(folder: Path) -> None:
    process = ServiceProcess(load_installation(installation(folder)), "recorder", "recorder")
    assert process.run(lambda: process.stop("changed its mind")) == 0


def test_parts_are_closed_in_reverse_and_a_failure_keeps_none_from_it(folder: Path) -> None:
    process = ServiceProcess(load_installation(installation(folder)), "recorder", "recorder")
    closed: list[str] = []

    def fail() -> None:
        closed.append("second")
        raise OSError("no space left")

    def start() -> None:
        process.at_end("first", lambda: closed.append("first"))
        process.at_end("second", fail)
        process.at_end("third", lambda: closed.append("third"))
        process.stop("done")

    assert process.run(start) == 70
    assert closed == ["third", "second", "first"]


def test_what_a_start_raises_is_raised_after_an_ordered_end(folder: Path) -> None:
    installed = load_installation(installation(folder))
    process = ServiceProcess(installed, "recorder", "recorder")
    closed: list[str] = []

    def start() -> None:
        process.at_end("part", lambda: closed.append("part"))
        raise RuntimeError("cannot")

    with pytest.raises(RuntimeError, match="cannot"):
        process.run(start)
    assert closed == ["part"]
    assert process.exit_code == 70
    again = ServiceProcess(installed, "recorder", "recorder")  # the name is free
    assert again.run(lambda: again.stop("done")) == 0


def test_a_name_is_held_by_one_at_a_time(folder: Path) -> None:
    installed = load_installation(installation(folder))
    process = ServiceProcess(installed, "recorder", "recorder")

    def start() -> None:
        with pytest.raises(ServiceInUseError, match="runs as 'recorder' already"):
            ServiceProcess(installed, "recorder", "recorder")
        process.stop("done")

    assert process.run(start) == 0


def test_a_paced_installation_runs_on_a_clock_that_is_put_forward(folder: Path) -> None:
    installed = load_installation(installation(folder, "paced = true"))
    process = ServiceProcess(installed, "recorder", "recorder")
    beats: list[int] = []

    def start() -> None:
        clock = process.event_engine.clock
        assert isinstance(clock, SimulatedClock)
        now = process.io_clock.now()

        def fail(_timer: object) -> None:
            raise ValueError("a timer of sockets")

        process.io_clock.set_timer("broken", now, fail)
        process.io_clock.set_timer("end", now + 50_000_000, lambda _t: process.stop("done"))
        clock.set_timer("simulated", 10**18, lambda _t: beats.append(clock.now()))

    assert process.run(start) == 0
    assert process.waiter.errors == 1
    assert beats == []


def test_the_number_of_starts_grows_even_where_its_file_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "x.boot"
    first = next_epoch(path)
    second = next_epoch(path)
    assert second > first
    path.write_text("torn\0")
    assert next_epoch(path) >= first
    assert path.stat().st_mode & 0o777 == 0o600
