"""A disk that loses power: what a process did to it, in order, and what may be left after a cut.

The rules, as POSIX has them and not as kind file systems do: what was synced stays. Of the rest, each write may be
there or not, or in part, by sectors of 512 bytes, in any order; a file may have been cut or grown or not. That a file
was made, renamed or removed stays once its folder was synced; before, each such change may be there or not.
"""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

SECTOR = 512
_HEAD = struct.Struct("<cIqI")
_SOURCE = Path(__file__).with_name("power_cut.c")


class Op(NamedTuple):
    """One thing done to a file; ``power_cut.c`` has the kinds."""

    kind: str
    name: str
    number: int
    data: bytes


def build_recorder(folder: Path) -> Path:
    """Compile the library that is preloaded; skips the test where there is no compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler, which the recorder below SQLite needs")
    library = folder / "power_cut.so"
    command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(_SOURCE), "-ldl"]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"the recorder below SQLite cannot be built here: {made.stderr[-300:]}")
    return library


def read_trace(path: Path) -> Iterator[Op]:
    """What was recorded, in order."""
    content, place = path.read_bytes(), 0
    while place < len(content):
        kind, length, number, size = _HEAD.unpack_from(content, place)
        place += _HEAD.size
        name = content[place : place + length].decode()
        place += length
        yield Op(kind.decode(), name, number, content[place : place + size])
        place += size


class _File:
    """What is on the platter, and what is not there for certain yet."""

    def __init__(self, content: bytes = b"") -> None:
        self.durable = bytearray(content)
        self.pending: list[Op] = []

    def sync(self) -> None:
        for op in self.pending:
            _do(self.durable, op)
        self.pending.clear()

    def after_cut(self, rng: random.Random, fate: str) -> bytes:
        content = bytearray(self.durable)
        for op in self.pending:
            if fate == "all" or (fate == "some" and rng.random() < 0.5):
                _do(content, op)
            elif fate == "torn" and op.kind == "W":
                for part in _sectors(op):
                    if rng.random() < 0.5:
                        _do(content, part)
        return bytes(content)


class Disk:
    """The files of one folder.

    Args:
        files: what is there to begin with, for certain.
    """

    def __init__(self, files: dict[str, bytes]) -> None:
        self._names = {name: _File(content) for name, content in files.items()}
        self._durable = dict(self._names)
        self._pending: list[tuple[Op, _File]] = []

    def do(self, op: Op) -> None:
        """Take up what the process did next."""
        match op.kind:
            case "W" | "T":
                self._names[op.name].pending.append(op)
            case "S":
                self._names[op.name].sync()
            case "D":
                for change, file in self._pending:
                    _rename(self._durable, change, file)
                self._pending.clear()
            case _:
                file = _File() if op.kind == "C" else self._names[op.name]
                _rename(self._names, op, file)
                self._pending.append((op, file))

    def cut(self, rng: random.Random) -> dict[str, bytes]:
        """What may be there after a loss of power at this moment."""
        names = dict(self._durable)
        kept = rng.choice(("none", "all", "some", "first"))
        first = rng.randrange(len(self._pending) + 1)
        for place, (op, file) in enumerate(self._pending):
            chance = kept == "some" and rng.random() < 0.5
            if kept == "all" or chance or (kept == "first" and place < first):
                _rename(names, op, file)
        one = rng.choice(("none", "all", "some", "torn", "each"))
        fates = ("none", "all", "some", "torn")
        return {
            name: file.after_cut(rng, rng.choice(fates) if one == "each" else one)
            for name, file in sorted(names.items())
        }


def _rename(names: dict[str, _File], op: Op, file: _File) -> None:
    if op.kind == "C":
        names[op.name] = file
        return
    if names.get(op.name) is file:
        del names[op.name]
    if op.kind == "R":
        names[op.data.decode()] = file


def _do(content: bytearray, op: Op) -> None:
    if op.kind == "T":
        del content[op.number :]
        content.extend(bytes(op.number - len(content)))
        return
    if len(content) < op.number:
        content.extend(bytes(op.number - len(content)))
    content[op.number : op.number + len(op.data)] = op.data


def _sectors(op: Op) -> Iterator[Op]:
    place = op.number
    end = place + len(op.data)
    while place < end:
        following = min(end, (place // SECTOR + 1) * SECTOR)
        yield op._replace(number=place, data=op.data[place - op.number : following - op.number])
        place = following
