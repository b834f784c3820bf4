"""The copy of a paper venue's data: the same rows, and never those of another file."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from foxtrot.app.adapter_data import begin_of, load_sources
from foxtrot.app.installation import AdapterSettings, ReplayOptions
from foxtrot.app.settings import DataSource
from foxtrot.core.errors import ConfigError

CSV = "time,open,high,low,close,volume\n" + "".join(
    f"2024-01-02T09:3{n}:00Z,{10 + n},{12 + n},{9 + n},{11 + n},100\n" for n in range(9)
)


def settings(path: Path | None = None, **replay: str) -> AdapterSettings:
    source = DataSource(path=path) if path else DataSource(sample="GOOG")
    return AdapterSettings(name="PAPER", data=(source,), replay=ReplayOptions(**replay))


def copies(folder: Path) -> list[Path]:
    return sorted(folder.glob("adapter-paper.data-*.npz"))


def test_the_copy_holds_the_rows_that_were_read(tmp_path: Path) -> None:
    first = load_sources(settings(), tmp_path)[0]
    assert len(copies(tmp_path)) == 1
    second = load_sources(settings(), tmp_path)[0]
    assert type(second) is type(first)
    for field in fields(first):
        ours, theirs = getattr(first, field.name), getattr(second, field.name)
        if isinstance(ours, np.ndarray):
            assert ours.tobytes() == theirs.tobytes()
        else:
            assert ours == theirs


def test_a_file_that_has_changed_is_read_again_and_its_old_copy_goes(tmp_path: Path) -> None:
    data = tmp_path / "abc.csv"
    data.write_text(CSV)
    rows = load_sources(settings(data), tmp_path)[0]
    assert (rows.vt_symbol, len(rows)) == ("ABC.LOCAL", 9)
    before = copies(tmp_path)
    data.write_text(CSV[: CSV.rindex("2024")])
    assert len(load_sources(settings(data), tmp_path)[0]) == 8
    assert len(copies(tmp_path)) == 1
    assert copies(tmp_path) != before


@pytest.mark.parametrize("damage", [b"", b"PK\3\4 torn", None])
def test_a_copy_that_cannot_be_read_is_made_anew(tmp_path: Path, damage: bytes | None) -> None:
    data = tmp_path / "abc.csv"
    data.write_text(CSV)
    load_sources(settings(data), tmp_path)
    (copy,) = copies(tmp_path)
    whole = copy.read_bytes()
    copy.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    assert len(load_sources(settings(data), tmp_path)[0]) == 9
    assert len(copy.read_bytes()) == len(whole)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.csv: cannot be read"):
        load_sources(settings(tmp_path / "none.csv"), tmp_path)


def test_a_start_from_the_copy_needs_no_pandas(tmp_path: Path) -> None:
    load_sources(settings(), tmp_path)
    code = (
        "import sys; from pathlib import Path;"
        "from foxtrot.app.adapter_build import build_adapter;"
        "from foxtrot.app.installation import AdapterSettings, ReplayOptions;"
        "from foxtrot.app.settings import DataSource;"
        "from foxtrot.core.event_engine import EventEngine;"
        "engine = EventEngine();"
        "given = AdapterSettings(name='PAPER', data=(DataSource(sample='GOOG'),),"
        " replay=ReplayOptions(begin='2010-01-01'));"
        f"state = Path({str(tmp_path)!r});"
        "build_adapter(given, engine, state=state, folder=state, watch=engine.clock);"
        "assert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


@pytest.mark.parametrize(
    ("begin", "tz", "expected"),
    [
        ("", None, 0),
        ("2024-01-02", None, 1_704_153_600_000_000_000),
        ("2024-01-02", "America/New_York", 1_704_171_600_000_000_000),
        ("2024-01-02T00:00:00.000001+00:00", "America/New_York", 1_704_153_600_000_001_000),
    ],
)
def test_a_begin_without_a_zone_is_meant_in_the_datas(
    begin: str, tz: str | None, expected: int
) -> None:
    source = DataSource(sample="GOOG", tz=tz)
    given = AdapterSettings(name="X", data=(source,), replay=ReplayOptions(begin=begin))
    assert begin_of(given) == expected
