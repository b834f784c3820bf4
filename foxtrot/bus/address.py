"""Where sockets may stand: ipc in a private folder, tcp on the loopback unless the config opens it.

Invariants: a folder for ipc sockets belongs to this user and nobody else can enter it (mode 0700); an address that is
reachable from outside is never bound by default; whatever is refused is told with the way to mend it.
"""

from __future__ import annotations

import ipaddress
import os
import stat
import tempfile
from pathlib import Path
from typing import Any

import zmq

from foxtrot.core.errors import BusError

MAX_IPC_PATH = 107
"""Bytes of a unix socket's path: ``sun_path`` holds 108 with the closing NUL (Linux)."""

_WILDCARDS = ("*", "0")


def run_folder(path: Path) -> Path:
    """Make a folder for ipc sockets, or make an own one private; returns its absolute path.

    Raises:
        BusError: it cannot be made, belongs to somebody else, or is a shared one such as ``/tmp``.
    """
    folder = path.expanduser().absolute()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except OSError as error:
        raise BusError(f"run folder {folder} cannot be made: {error}") from error
    if status.st_uid != os.geteuid():
        raise BusError(
            f"run folder {folder} belongs to user {status.st_uid}; name a folder of your own"
        )
    if status.st_mode & stat.S_ISVTX:
        raise BusError(f"run folder {folder} is shared by all users; name a folder inside of it")
    if stat.S_IMODE(status.st_mode) != 0o700:
        folder.chmod(0o700)
    return folder


def ipc_endpoint(folder: Path, name: str) -> str:
    """Return the endpoint of a socket in a run folder, which is made private.

    Raises:
        BusError: the folder or the name cannot be used, or the path is too long for a unix socket.
    """
    if not name or "/" in name or "\0" in name or name in (".", ".."):
        raise BusError(f"{name!a} cannot name a socket; use letters, digits and dashes")
    return check_ipc(f"ipc://{run_folder(folder)}/{name}.sock")


def random_ipc_endpoint(name: str = "bus") -> str:
    """Return an endpoint in a new private folder of the system's temporary one; the caller removes it."""
    return ipc_endpoint(Path(tempfile.mkdtemp(prefix="foxtrot-")), name)


def check_ipc(endpoint: str) -> str:
    """Return an ipc endpoint that can be bound by path.

    Raises:
        BusError: it is relative, abstract, a wildcard, or longer than a unix socket's path may be.
    """
    path = endpoint.removeprefix("ipc://")
    if not path.startswith("/"):
        raise BusError(
            f"{endpoint} must name an absolute path; abstract and made-up ipc addresses have no owner"
        )
    length = len(os.fsencode(path))
    if length > MAX_IPC_PATH:
        raise BusError(
            f"{endpoint} has a path of {length} bytes and a unix socket takes {MAX_IPC_PATH}; use a shorter run folder"
        )
    return endpoint


def is_loopback(host: str) -> bool:
    """Whether a host of a tcp endpoint is reachable from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False  # a name, an interface or ``*``


def check_tcp(endpoint: str, *, allow_remote: bool = False) -> str:
    """Return a tcp endpoint that may be bound.

    Raises:
        BusError: it has no port, or leaves the loopback without ``allow_remote``.
    """
    host, colon, port = endpoint.removeprefix("tcp://").rpartition(":")
    valid = port in _WILDCARDS or (
        port.isascii() and port.isdigit() and len(port) < 6 and 0 < int(port) < 65_536
    )
    if not colon or not host or not valid:
        raise BusError(
            f"{endpoint} must read tcp://HOST:PORT with a port from 1 to 65535, or 0 for any"
        )
    if not allow_remote and not is_loopback(host):
        raise BusError(
            f"{endpoint} can be reached from other machines; bind tcp://127.0.0.1:{port}, or allow remote access in "
            f"the config"
        )
    return endpoint


def check_bind(endpoint: str, *, allow_remote: bool = False) -> str:
    """Return an endpoint that may be bound.

    Raises:
        BusError: its transport or address may not.
    """
    transport, colon, rest = endpoint.partition("://")
    if transport == "ipc" and colon:
        return check_ipc(endpoint)
    if transport == "tcp" and colon:
        return check_tcp(endpoint, allow_remote=allow_remote)
    if transport == "inproc" and rest:
        return endpoint
    raise BusError(
        f"{endpoint!a} is no endpoint; use ipc:///PATH, tcp://127.0.0.1:PORT or inproc://NAME"
    )


def bind(socket: zmq.Socket[Any], endpoint: str, *, allow_remote: bool = False) -> str:
    """Bind a socket; returns the endpoint to connect to, with the port where any was asked for.

    A file that a dead process left at an ipc path is replaced; that no living one stands there is what locks are for.

    Raises:
        BusError: the endpoint may not be bound, or is in use.
    """
    check_bind(endpoint, allow_remote=allow_remote)
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as error:
        raise BusError(f"{endpoint} cannot be bound: {error}") from error
    return socket.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0")
