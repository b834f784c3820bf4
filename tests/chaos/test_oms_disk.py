"""F36: the disk is full, broken, or read-only while an OMS trades: it says and sends nothing until it can save again.

The disk is made to fail below SQLite in three ways: by a library that is preloaded (``disk_fault.c``), by the kernel's
limit on the size of files, and by a small file system that is full (where one may be mounted).
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from foxtrot.core.constants import Status
from tests.chaos.desk import Desk, Nursery, nursery
from tests.chaos.harness import NOTHING_LOST_OR_DOUBLED, Chaos, Fault, MustHold, Run
from tests.chaos.judge import differences, judge_file

SOURCE = Path(__file__).with_name("disk_fault.c")
COMPILER = shutil.which("gcc") or shutil.which("cc")
OPTIONS = {"grace": 0.25, "haste": 0.1}
SIZE = 16 << 20

MUST: MustHold = NOTHING_LOST_OR_DOUBLED | {
    "nothing is said or sent while nothing can be saved": lambda fault: fault.notes["said"] == 0,
    "it is noticed every time": lambda fault: fault.detected == fault.done,
    "it goes on by itself, and agrees with the venue": lambda fault: fault.notes["apart"] == [],
}


class Disk(NamedTuple):
    """A way to have the disk fail: the folder, where OMS processes come from, and how it breaks and is mended."""

    name: str
    folder: Path
    ward: Nursery
    breaks: Callable[[Desk], None]
    is_mended: Callable[[Desk], None]


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Disk]]:
    """All the ways that this machine has."""
    if COMPILER is None:
        pytest.skip("no C compiler")
    base = tmp_path_factory.mktemp("disks")
    folder, order, library = base / "shim", base / "order", base / "disk_fault.so"
    folder.mkdir()
    command = [COMPILER, "-shared", "-fPIC", "-O2", "-o", str(library), str(SOURCE)]
    subprocess.run(command, check=True)
    preload = {
        "LD_PRELOAD": str(library),
        "DISK_FAULT_FOLDER": str(folder),
        "DISK_FAULT_ORDER": str(order),
    }
    with nursery(preload) as shimmed, nursery() as plain, mounted(base / "small") as small:
        found = [
            Disk(
                name,
                folder,
                shimmed,
                lambda _, n=number: ordered(order, n),
                lambda _: order.unlink(),
            )
            for name, number in (
                ("full", errno.ENOSPC),
                ("I/O error", errno.EIO),
                ("read-only", errno.EROFS),
            )
        ]
        found.append(Disk("file size limit", folder, plain, limit, unlimit))
        if small is not None:
            found.append(Disk("full tmpfs", small, plain, fill_up, make_room))
        yield found


def ordered(order: Path, number: int) -> None:
    """Have every write fail with an errno, from one moment to the next."""
    partial = order.with_suffix(".new")
    partial.write_text(str(number))
    partial.replace(order)


def limit(desk: Desk) -> None:
    assert desk.child is not None
    resource.prlimit(desk.child.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


def unlimit(desk: Desk) -> None:
    assert desk.child is not None
    everything = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(desk.child.pid, resource.RLIMIT_FSIZE, everything)


def fill_up(desk: Desk) -> None:
    with (desk.path.parent / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4_096))
        except OSError as error:
            assert error.errno == errno.ENOSPC


def make_room(desk: Desk) -> None:
    (desk.path.parent / "filler").unlink()


@contextmanager
def mounted(folder: Path) -> Iterator[Path | None]:
    """A small file system; None where none may be mounted."""
    folder.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if os.geteuid() or not mount or not umount:
        yield None
        return
    command = [mount, "-t", "tmpfs", "-o", f"size={SIZE}", "none", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run([umount, "-l", str(folder)], check=True)


def fail_once(fault: Fault, disk: Disk, run: Run) -> None:
    """Trade, have the disk fail, trade on, mend it (in a third of the runs after a kill), and compare."""
    notes = fault.notes
    path = disk.folder / f"{run.number}.db"
    desk = Desk(disk.ward, path, run.rng)
    desk.start(**OPTIONS)
    desk.until(lambda: desk.loaded is not None)
    desk.settle()
    desk.trade(run.rng.uniform(0.02, 0.2), 1_000)
    disk.breaks(desk)
    stalls(desk)
    fault.detected += 1
    before = words(desk)
    desk.trade(run.rng.uniform(0.05, 0.3), 1_000)
    desk.stalled()  # what was said before this answer has arrived
    notes["said"] += words(desk) - before
    killed = run.rng.random() < 0.33
    if killed:
        desk.kill()
        desk.hold_until = time.monotonic() + 0.25
        if disk.name != "file size limit":
            disk.is_mended(desk)
        desk.start(**OPTIONS)
        desk.until(lambda: desk.loaded is not None)
    else:
        disk.is_mended(desk)
        start = time.monotonic()
        desk.until(lambda: not desk.stalled())
        notes["slowest"] = max(notes["slowest"], round(time.monotonic() - start, 2))
    state, _ = desk.settle()
    desk.resend()
    desk.until(lambda: not desk.client.waiting)
    desk.trade(0.05, 1_000)
    desk.until(lambda: not desk.client.waiting)
    state, _ = desk.settle()
    notes["apart"] += [f"run {run.number}, {disk.name}: {one}" for one in differences(desk, state)]
    notes["denied"] += sum(o.status is Status.DENIED for o in desk.client.orders.values())
    notes["ways"][disk.name] = notes["ways"].get(disk.name, 0) + 1
    desk.kill()
    found = judge_file(desk)
    fault.lost += len(found.lost)
    fault.duplicated += len(found.doubled)
    notes["apart"] += found.wrong
    if found:
        notes["apart"].append(f"run {run.number}, {disk.name}: {found}")
    for old in path.parent.glob(f"{path.name}*"):
        old.unlink()


def stalls(desk: Desk) -> None:
    """Trade until the OMS has noticed."""
    end = time.monotonic() + 20.0
    while not desk.stalled():
        desk.trade(0.02, 2_000)
        assert time.monotonic() < end, "it goes on as if nothing were the matter"


def words(desk: Desk) -> int:
    """How much the client was told and the venue was sent."""
    told = sum(desk.told.values())
    return told + sum(desk.venue.arrivals.values()) + len(desk.venue.lost)


def test_f36_a_disk_that_fails_loses_nothing_and_is_waited_for(
    chaos: Chaos, disks: list[Disk]
) -> None:
    title = "disk full, I/O error, read-only, below a trading OMS"
    with chaos.fault("F36", title, runs=(5, 150), must_hold=MUST) as fault:
        fault.notes.update(said=0, apart=[], slowest=0.0, denied=0, ways={})
        for run in fault.runs():
            fail_once(fault, disks[run.number % len(disks)], run)
