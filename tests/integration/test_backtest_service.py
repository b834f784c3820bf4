"""The backtest service as a process: jobs by request, in processes of their own, over the service's death."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq
from msgspec.structs import replace

from foxtrot.app.backtest import run_backtest_job
from foxtrot.app.backtest_client import BacktestClient, BacktestRefusedError
from foxtrot.app.backtest_recall import recall
from foxtrot.app.installation import Installation
from foxtrot.app.settings import BacktestJob, load_job
from foxtrot.bus.messages import BacktestInfo
from foxtrot.core.objects import LogData
from tests.unit.cli.cli_helpers import foxtrot

ROOT = Path(__file__).resolve().parents[2]

STRATEGIES = '''
import os
import time
from pathlib import Path

from foxtrot.strategy import Strategy


class Gated(Strategy):
    """Trades on every tenth bar, once a file named "gate" is in the folder."""

    def on_start(self):
        self.count = 0
        while not Path("gate").exists():
            time.sleep(0.02)

    def on_bar(self, bar):
        self.count += 1
        if self.count % 10 == 0:
            self.log(f"bar {self.count}")
            self.close(bar.vt_symbol) if self.position(bar.vt_symbol) else self.buy(1)


class Faulty(Strategy):
    def on_bar(self, bar):
        return 1 / 0


class Dying(Strategy):
    def on_bar(self, bar):
        os._exit(3)
'''


def until(done: Callable[[], Any], seconds: float = 20.0) -> Any:
    end = time.monotonic() + seconds
    while not (found := done()):
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Service:
    """A run folder, and the service in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run = folder / "r"
        self.process: subprocess.Popen[bytes] | None = None
        (folder / "s.py").write_text(STRATEGIES)

    def start(self) -> None:
        command = [sys.executable, "-m", "services.backtest", "--serve", "--run", str(self.run)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)

    def client(self) -> BacktestClient:
        return BacktestClient(Installation(run=self.run, adapters=()), timeout=20.0)

    def end(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        try:
            return self.process.wait(15)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait(5)

    def job(self, name: str, strategy: str = "Gated") -> BacktestJob:
        job = load_job(ROOT / "configs" / "backtest.toml", ["output.report=false"])
        told = replace(
            job.strategy[0], path=f"{self.folder / 's.py'}:{strategy}", name="", setting={}
        )
        output = replace(job.output, folder=self.folder / name)
        return replace(job, name=name, strategy=(told,), output=output)

    def submit(self, client: BacktestClient, job: BacktestJob) -> BacktestInfo:
        return client.submit(job, job.name, self.folder)


def worker_of(client: BacktestClient, id_: str) -> int:
    details = client._ask("svc.status", None).details
    return int(details.get(f"job {id_}", "process 0").removeprefix("process "))


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with tempfile.TemporaryDirectory(prefix="fx") as folder:  # short: sockets have short paths
        made = Service(Path(folder))
        made.start()
        try:
            yield made
        finally:
            assert made.end() == 0


@pytest.fixture
def mortal() -> Iterator[Service]:
    with tempfile.TemporaryDirectory(prefix="fx") as folder:
        made = Service(Path(folder))
        made.start()
        try:
            yield made
        finally:
            if made.process is not None and made.process.poll() is None:
                made.end()


def test_a_job_is_followed_to_its_end_and_equals_a_run_of_ones_own(service: Service) -> None:
    job = load_job(ROOT / "configs" / "backtest.toml", ["output.report=false"])
    here = run_backtest_job(replace(job, output=replace(job.output, folder=service.folder / "h")))
    job = replace(job, output=replace(job.output, folder=Path("there")))
    seen: list[BacktestInfo] = []
    with service.client() as client:
        info = client.submit(job, "goog", service.folder)
        assert info.state in ("QUEUED", "RUNNING")
        ended = client.follow(info.id, seen.append)
        output = client.result(info.id)
        listed = client.list()

    outcome = recall(output)
    assert (ended.state, ended.progress, ended.attempts) == ("DONE", 1.0, 1)
    assert ended.log_sha256 == outcome.result.log_sha256 == here.result.log_sha256
    assert ended.figures == here.statistics.to_dict() == outcome.statistics.to_dict()
    assert outcome.result.equity.tolist() == here.result.equity.tolist()
    there = service.folder / "there"
    assert output.document == (there / "statistics.json").read_text()
    assert {file.name for file in outcome.files} == {file.name for file in there.iterdir()}
    assert "running" in {info.stage for info in seen}
    done = [info.progress for info in seen]
    assert max(done) == 1.0
    assert all(0.0 <= part <= 1.0 for part in done)
    assert [info.id for info in listed if info.id == "goog"] == ["goog"]


def test_the_same_id_twice_is_one_job_and_another_job_under_it_is_refused(
    service: Service,
) -> None:
    job = service.job("twice")
    with service.client() as client:
        first = service.submit(client, job)
        with service.client() as other:
            again = service.submit(other, job)
        assert (again.id, again.ts_created) == (first.id, first.ts_created)
        with pytest.raises(BacktestRefusedError, match="another one"):
            service.submit(client, replace(job, start="2010-01-01"))
        assert [info.id for info in client.list() if info.id == "twice"] == ["twice"]
        with pytest.raises(BacktestRefusedError, match="has no result"):
            client.result("twice")
        assert client.cancel("twice").state == "CANCELLED"


def test_a_job_that_waits_and_one_that_runs_are_cancelled(service: Service) -> None:
    with service.client() as client:
        service.submit(client, service.job("first"))
        service.submit(client, service.job("second"))
        until(lambda: client.info("first").stage == "running")
        worker = until(lambda: worker_of(client, "first"))
        assert client.info("second").state == "QUEUED"  # one at a time

        assert client.cancel("second").state == "CANCELLED"
        assert client.cancel("first").state == "CANCELLED"
        until(lambda: not alive(worker), 5.0)
        assert client.follow("first").state == "CANCELLED"
        assert client.cancel("first").state == "CANCELLED"  # once more changes nothing
    assert not (service.folder / "first" / "statistics.json").exists()
    assert not (service.folder / "second").exists()


def test_failures_are_told_with_their_traceback_and_leave_the_service_whole(
    service: Service,
) -> None:
    with service.client() as client:
        service.submit(client, service.job("faulty", "Faulty"))
        service.submit(client, service.job("dying", "Dying"))
        faulty, dying = client.follow("faulty"), client.follow("dying")
        assert (faulty.state, faulty.exit_code) == ("FAILED", 1)
        assert "ZeroDivisionError" in faulty.error
        assert "return 1 / 0" in faulty.trace
        assert (dying.state, dying.exit_code) == ("FAILED", 70)
        assert "exit code 3" in dying.error
        with pytest.raises(BacktestRefusedError, match="no job"):
            client.info("nobody")
        assert client._ask("svc.status", None).state == "READY"


def test_plain_msgpack_is_enough_to_submit_a_job(service: Service) -> None:
    config = (
        f'data = [{{ sample = "GOOG" }}]\nstrategy = [{{ path = "{service.folder}/none.py" }}]\n'
    )
    body = ["BacktestSubmit", config, str(service.folder), "plain"]
    envelope = [1, "me", 1, 0, 0, ["Request", "r1", "bt.submit", body]]
    with zmq.Context() as context, context.socket(zmq.REQ) as socket:
        socket.set(zmq.LINGER, 0)
        socket.connect(Installation(run=service.run, adapters=()).endpoint("backtest", "rpc"))
        socket.send(b"bt.submit\0" + msgpack.packb(envelope))
        assert socket.poll(10_000)
        reply = msgpack.unpackb(socket.recv().partition(b"\0")[2])[5]
    assert reply[:3] == ["Reply", "r1", True]
    assert reply[3][:3] == ["BacktestInfo", "plain", "backtest"]
    with service.client() as client:
        ended = client.follow("plain")
    assert (ended.state, ended.exit_code) == ("FAILED", 2)
    assert "none.py" in ended.error


def test_the_command_line_hands_a_job_over_and_shows_it(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(service.folder)
    (service.folder / "gate").touch()
    try:
        told = foxtrot("backtest", "s.py:Gated", "--remote", "--run", "r", "--no-report")
        here = foxtrot("backtest", "s.py:Gated", "--no-report", "--output", "own")
    finally:
        (service.folder / "gate").unlink()

    def steady(text: str) -> list[str]:
        return [line for line in text.splitlines() if "events in" not in line][:-1]

    assert (told.code, here.code) == (0, 0), told.err
    assert steady(told.out) == steady(here.out)
    assert told.out.splitlines()[-1] == here.out.splitlines()[-1].replace("own", "results/s")
    assert "bar 10" in told.err

    failed = foxtrot("backtest", "s.py:Faulty", "--remote", "--run", "r")
    assert failed.code == 1
    assert "return 1 / 0" in failed.err
    assert "error: strategy faulty raised ZeroDivisionError" in failed.err

    jobs = json.loads(foxtrot("jobs", "list", "--run", "r", "--json").out)
    assert [job["state"] for job in jobs[:2]] == ["FAILED", "DONE"]
    shown = foxtrot("jobs", "show", jobs[1]["id"], "--run", "r")
    assert "DONE" in shown.out
    assert "Sharpe" in shown.out
    assert jobs[1]["id"] in foxtrot("jobs", "list", "--run", "r").out
    assert "is DONE" in foxtrot("jobs", "cancel", jobs[1]["id"], "--run", "r").out
    assert foxtrot("jobs", "show", jobs[0]["id"], "--run", "r").code == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_job_outlives_its_service(
    mortal: Service, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[LogData] = []
    with mortal.client() as client:
        mortal.submit(client, mortal.job("long"))
        mortal.submit(client, mortal.job("next"))
        until(lambda: client.info("long").stage == "running")
        worker = worker_of(client, "long")

        code = mortal.end(number)
        assert code == (0 if number == signal.SIGTERM else -signal.SIGKILL)
        until(lambda: not alive(worker), 5.0)  # nothing is left to work on the same files
        kept = json.loads((mortal.run / "state" / "backtests" / "long.json").read_text())
        assert kept["state"] == ("QUEUED" if number == signal.SIGTERM else "RUNNING")
        (mortal.folder / "gate").touch()
        mortal.start()
        ended = client.follow("long", on_log=logged.append)
        after = client.follow("next")

    monkeypatch.chdir(mortal.folder)
    here = run_backtest_job(mortal.job("own"))
    assert "bar 10" in [line.msg for line in logged]
    assert (ended.state, ended.attempts, after.state) == ("DONE", 2, "DONE")
    assert ended.log_sha256 == after.log_sha256 == here.result.log_sha256


def test_who_stops_watching_without_a_terminal_leaves_the_job_running(service: Service) -> None:
    command = [sys.executable, "-m", "foxtrot.cli", "backtest", "s.py:Gated", "--remote"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    watching = subprocess.Popen(
        [*command, "--run", str(service.run)], cwd=service.folder, env=environment,
        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        with service.client() as client:
            [info] = until(lambda: client.list(active=True))
            until(lambda: client.info(info.id).stage == "running")
            watching.send_signal(signal.SIGINT)
            _, told = watching.communicate(timeout=20)
            assert watching.returncode == 130
            assert f"job {info.id} goes on" in told
            assert client.info(info.id).state == "RUNNING"
            client.cancel(info.id)
    finally:
        watching.kill()
        watching.wait(5)


def test_an_installation_serves_two_jobs_at_once_and_its_name_is_taken() -> None:
    with tempfile.TemporaryDirectory(prefix="fx") as folder:
        home = Service(Path(folder))
        config = Path(folder) / "i.toml"
        config.write_text(
            'run = "r"\n[oms]\nlock_timeout = 0.2\n[[adapters]]\nname = "X"\nkind = "tests:None"\n'
        )
        command = [sys.executable, "-m", "services.backtest", "--config", str(config)]
        home.process = subprocess.Popen(
            [*command, "--slots", "2"], cwd=ROOT, stdout=subprocess.DEVNULL
        )
        try:
            with home.client() as client:
                for name in ("a", "b", "c"):
                    home.submit(client, home.job(name))
                states = {info.id: info.state for info in client.list()}
                assert states == {"a": "RUNNING", "b": "RUNNING", "c": "QUEUED"}
                workers = [worker_of(client, "a"), worker_of(client, "b")]
            second = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=30, check=False)
            assert second.returncode == 75
        finally:
            assert home.end() == 0
        assert not any(alive(worker) for worker in workers)
