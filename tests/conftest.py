"""What holds for every test: examples are the same on each run, and nothing is left open afterwards."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Iterator
from multiprocessing import resource_tracker
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import settings

settings.register_profile(
    "foxtrot", derandomize=True, deadline=None, max_examples=50, print_blob=True
)
settings.load_profile("foxtrot")

_PATIENCE = 2.0  # seconds that threads and processes may take to end after their test
_OWN_FILES = (".coverage", ".hypothesis", "/dev/", "/proc/")
_OWN_THREADS = ("pytest_timeout", "execnet")
_LIBRARY = (".py", ".pyc", ".so", ".zip")


class Resources(NamedTuple):
    """What a process holds: threads by identity and name, children by number, descriptors by what they lead to."""

    threads: frozenset[tuple[int | None, str]]
    children: frozenset[int]
    files: frozenset[tuple[int, str]]

    def beyond(self, before: Resources) -> list[str]:
        """Tell what is held now and was not before."""
        return [
            *(f"thread {name}" for _, name in self.threads - before.threads),
            *(f"child process {number}" for number in self.children - before.children),
            *(f"descriptor {number}: {target}" for number, target in self.files - before.files),
        ]


def held() -> Resources:
    """Look at this process; descriptors and children only where there is a ``/proc``."""
    threads = frozenset(
        (thread.ident, thread.name)
        for thread in threading.enumerate()
        if not thread.name.startswith(_OWN_THREADS)
    )
    tracker = resource_tracker._resource_tracker
    children = frozenset(_children()) - {tracker._pid}
    files = frozenset(
        (number, target) for number, target in _descriptors() if number != tracker._fd
    )
    return Resources(threads, children, files)


def _children() -> Iterator[int]:
    for path in Path("/proc/self/task").glob("*/children"):
        try:
            yield from map(int, path.read_text().split())
        except FileNotFoundError:
            continue  # the thread has ended meanwhile


def _descriptors() -> Iterator[tuple[int, str]]:
    folder = "/proc/self/fd"
    for name in os.listdir(folder) if os.path.isdir(folder) else ():  # noqa: PTH208, PTH112  # quick
        try:
            target = os.readlink(f"{folder}/{name}")  # noqa: PTH115
        except OSError:
            continue  # the descriptor of the listing itself
        if not any(own in target for own in _OWN_FILES) and not target.endswith(_LIBRARY):
            yield int(name), target


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    """Fail a test that leaves threads, processes, sockets, pipes or files behind."""
    before = held()
    yield
    left = held().beyond(before)
    if left:
        gc.collect()
        end = time.monotonic() + _PATIENCE
        while (left := held().beyond(before)) and time.monotonic() < end:
            time.sleep(0.01)
    if left:
        pytest.fail(f"the test left behind: {'; '.join(left)}", pytrace=False)
