"""The harness itself: counts, seeds, results that are merged, and what must hold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.chaos.harness import Chaos, Settings, load, table
from tests.chaos.power import Disk, Op


def make(chaos: Chaos, name: str, lost: int = 0) -> list[float]:
    with chaos.fault(name, "a test", runs=(3, 100)) as fault:
        drawn = [run.rng.random() for run in fault.runs()]
        fault.lost = lost
    return drawn


def test_counts_and_seeds_come_from_the_environment() -> None:
    assert len(make(Chaos(Settings.read({})), "F1")) == 3
    assert len(make(Chaos(Settings.read({"FOXTROT_CHAOS": "full"})), "F1")) == 100
    some = Chaos(Settings.read({"FOXTROT_CHAOS": "full", "FOXTROT_CHAOS_RUNS": "5"}))
    assert len(make(some, "F1")) == 5
    assert make(some, "F1") == make(some, "F1") != make(some, "F2")
    other = Chaos(Settings.read({"FOXTROT_CHAOS_SEED": "7", "FOXTROT_CHAOS_RUNS": "5"}))
    assert make(other, "F1") != make(some, "F1")
    with pytest.raises(ValueError, match="FOXTROT_CHAOS is 'all'"):
        Settings.read({"FOXTROT_CHAOS": "all"})


def test_results_are_merged_fault_by_fault_and_a_failure_is_written_too(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    chaos = Chaos(Settings(results=path))
    make(chaos, "F10")
    make(chaos, "F9")
    with pytest.raises(AssertionError, match="0 lost"):
        make(chaos, "F8", lost=2)
    with (
        pytest.raises(ZeroDivisionError),
        chaos.fault("F7", "breaks", runs=(1, 1)) as fault,
    ):
        for _ in fault.runs():
            raise ZeroDivisionError
    found = load(path)
    assert list(found) == ["F7", "F8", "F9", "F10"]
    assert [result["ok"] for result in found.values()] == [False, False, True, True]
    assert found["F8"]["lost"] == 2
    assert "ZeroDivisionError" in found["F7"]["error"]
    assert set(found["F9"]) >= {"fault", "title", "runs", "lost", "duplicated", "detected"}
    assert "FAILED" in table(path)
    assert not list(tmp_path.glob("*.partial"))


def test_a_run_that_goes_on_passes_over_good_results_of_its_count_and_seed(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    make(Chaos(Settings(results=path)), "F9")
    again = Chaos(Settings(results=path, resume=True))
    with pytest.raises(pytest.skip.Exception, match="F9 has a result of 3 runs"):
        make(again, "F9")
    make(again, "F10")
    make(Chaos(Settings(results=path, resume=True, seed=8)), "F9")
    bad = json.loads(path.read_text())
    bad["faults"][1]["ok"] = False
    path.write_text(json.dumps(bad))
    make(again, "F10")


def test_a_fault_that_never_ran_does_not_hold() -> None:
    chaos = Chaos(Settings())
    with pytest.raises(AssertionError, match="it ran at all"), chaos.fault("F1", "", runs=(1, 1)):
        pass


class Always:
    """Chance that is none: the last choice, or the first; everything kept, or nothing."""

    def __init__(self, fate: str) -> None:
        self.fate = fate

    def choice(self, options: tuple[str, ...]) -> str:
        return self.fate

    def randrange(self, _: int) -> int:
        return 0

    def random(self) -> float:
        return 0.0


def after(disk: Disk, fate: str) -> dict[str, bytes]:
    return disk.cut(Always(fate))  # type: ignore[arg-type]


def test_a_disk_keeps_what_was_synced_and_what_chance_lets() -> None:
    disk = Disk({"a": b"old"})
    disk.do(Op("W", "a", 3, b"er"))
    assert (after(disk, "none"), after(disk, "all")) == ({"a": b"old"}, {"a": b"older"})
    disk.do(Op("S", "a", 0, b""))
    assert after(disk, "none") == {"a": b"older"}
    disk.do(Op("T", "a", 1, b""))
    assert (after(disk, "none"), after(disk, "all")) == ({"a": b"older"}, {"a": b"o"})
    disk.do(Op("C", "b", 0, b""))
    disk.do(Op("W", "b", 2, b"x"))
    disk.do(Op("S", "b", 0, b""))
    assert after(disk, "none") == {"a": b"older"}  # synced, but not yet in its folder
    disk.do(Op("R", "b", 0, b"a"))
    assert after(disk, "all") == {"a": b"\0\0x"}
    disk.do(Op("D", "/", 0, b""))
    assert after(disk, "none") == {"a": b"\0\0x"}
    disk.do(Op("U", "a", 0, b""))
    assert (after(disk, "none"), after(disk, "all")) == ({"a": b"\0\0x"}, {})


def test_a_write_may_be_torn_by_sectors() -> None:
    disk = Disk({"a": b"-" * 1_536})
    disk.do(Op("W", "a", 500, b"+" * 600))

    class Alternate(Always):
        draws = 0

        def random(self) -> float:
            self.draws += 1
            return float(self.draws % 2)

    torn = disk.cut(Alternate("torn"))["a"]  # type: ignore[arg-type]
    assert torn == b"-" * 512 + b"+" * 512 + b"-" * 512
