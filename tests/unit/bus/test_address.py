"""Where sockets may stand."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import zmq

from foxtrot.bus.address import (
    bind,
    check_bind,
    ipc_endpoint,
    is_loopback,
    random_ipc_endpoint,
    run_folder,
)
from foxtrot.core.errors import BusError


def test_a_run_folder_is_private_whether_new_or_old(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir(mode=0o755)
    for folder in (old, tmp_path / "new" / "run"):
        made = run_folder(folder)
        assert stat.S_IMODE(made.stat().st_mode) == 0o700


def test_a_folder_that_all_share_is_refused(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    with pytest.raises(BusError, match="shared by all users"):
        run_folder(shared)
    assert stat.S_IMODE(shared.stat().st_mode) == 0o1777


def test_a_folder_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(BusError, match="belongs to user"):
        run_folder(tmp_path)


def test_a_run_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(BusError, match="cannot be made"):
        run_folder(tmp_path / "run")


def test_an_ipc_path_over_the_limit_says_how_long_it_is() -> None:
    folder = Path(random_ipc_endpoint().removeprefix("ipc://")).parent
    try:
        name = "x" * (107 - len(str(folder)) - len("/.sock"))
        assert len(ipc_endpoint(folder, name).removeprefix("ipc://")) == 107
        with pytest.raises(BusError, match="path of 108 bytes and a unix socket takes 107"):
            ipc_endpoint(folder, name + "x")
    finally:
        folder.rmdir()


@pytest.mark.parametrize("name", ["", "a/b", ".."])
def test_a_socket_cannot_leave_its_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(BusError, match="cannot name a socket"):
        ipc_endpoint(tmp_path, name)


@pytest.mark.parametrize(
    "endpoint",
    [
        "tcp://127.0.0.1:5555",
        "tcp://127.0.0.1:0",
        "tcp://127.0.0.1:*",
        "tcp://localhost:1",
        "tcp://[::1]:5555",
        "ipc:///run/x.sock",
        "inproc://x",
    ],
)
def test_what_stays_on_the_machine_may_be_bound(endpoint: str) -> None:
    assert check_bind(endpoint) == endpoint


@pytest.mark.parametrize(
    "endpoint", ["tcp://*:5555", "tcp://0.0.0.0:5555", "tcp://eth0:5555", "tcp://10.1.2.3:5555"]
)
def test_what_others_can_reach_needs_leave(endpoint: str) -> None:
    with pytest.raises(BusError, match="reached from other machines"):
        check_bind(endpoint)
    assert check_bind(endpoint, allow_remote=True) == endpoint


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:99999",
        "tcp://127.0.0.1:x",
        "tcp://:5",
        "udp://127.0.0.1:5",
        "ipc://relative",
        "ipc://@abstract",
        "ipc://*",
        "inproc://",
        "127.0.0.1:5",
    ],
)
def test_what_is_no_endpoint_is_refused(endpoint: str) -> None:
    with pytest.raises(BusError):
        check_bind(endpoint, allow_remote=True)


def test_bind_tells_the_port_it_found_and_who_is_in_the_way(context: zmq.Context) -> None:
    with context.socket(zmq.PUB) as first, context.socket(zmq.PUB) as second:
        endpoint = bind(first, "tcp://127.0.0.1:0")
        assert int(endpoint.rpartition(":")[2]) > 0
        with pytest.raises(BusError, match="cannot be bound"):
            bind(second, endpoint)


def test_loopback_addresses_are_known() -> None:
    assert is_loopback("127.9.9.9")
    assert not is_loopback("::")
