"""An installation's file: what it may say, and what is told of one that is wrong."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from foxtrot.app.installation import load_installation
from foxtrot.core.errors import BusError, ConfigError

ROOT = Path(__file__).resolve().parents[3]

SMALL = """
run = "run"

[[adapters]]
name = "PAPER"
data = [{ sample = "GOOG" }]

[[runners]]
name = "strategies"

[[runners.strategies]]
name = "sma"
path = "sma.py:Sma"
vt_symbols = ["GOOG.NASDAQ"]
"""


def write(folder: Path, text: str = SMALL) -> Path:
    path = folder / "own.toml"
    path.write_text(text)
    return path


def test_the_file_that_comes_with_the_project_is_right() -> None:
    loaded = load_installation(ROOT / "configs" / "paper.toml")
    assert loaded.service_names() == ["recorder", "oms", "adapter-paper", "strategies"]
    assert loaded.run == ROOT / "run" / "paper"
    assert not loaded.paced
    strategy = loaded.runner("strategies").strategies[0]
    assert Path(strategy.path.rpartition(":")[0]).is_file()
    assert strategy.adapter == "PAPER"


def test_paths_are_relative_to_the_file_and_defaults_are_filled_in(tmp_path: Path) -> None:
    loaded = load_installation(write(tmp_path))
    assert loaded.run == tmp_path / "run"
    assert loaded.runners[0].strategies[0].path == f"{tmp_path}/sma.py:Sma"
    assert loaded.runners[0].strategies[0].adapter == "PAPER"
    assert loaded.database == tmp_path / "run" / "state" / "oms.db"
    assert loaded.path == tmp_path / "own.toml"


def test_folders_and_sockets_are_private(tmp_path: Path) -> None:
    loaded = load_installation(write(tmp_path))
    endpoint = loaded.endpoint("oms", "rpc")
    assert endpoint == f"ipc://{tmp_path}/run/sockets/oms.rpc.sock"
    loaded.folder("state")
    for folder in (tmp_path / "run", tmp_path / "run" / "sockets", tmp_path / "run" / "state"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_an_adapter_is_found_by_its_name_and_its_services(tmp_path: Path) -> None:
    loaded = load_installation(write(tmp_path))
    assert loaded.adapter().name == "PAPER"
    assert loaded.adapter("adapter-paper") is loaded.adapter("PAPER")
    with pytest.raises(ConfigError, match="no adapter 'adapter-papr'; there are: adapter-paper"):
        loaded.adapter("adapter-papr")
    with pytest.raises(ConfigError, match="no runner 'other'; there are: strategies"):
        loaded.runner("other")


def test_a_paced_replay_is_known_of_the_whole(tmp_path: Path) -> None:
    loaded = load_installation(write(tmp_path), ["adapters.0.replay.paced=true"])
    assert loaded.paced


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('run = "run"', 'rum = "run"', "run"),
        ('name = "PAPER"', 'name = "PA.PER"', "letters, digits"),
        ('data = [{ sample = "GOOG" }]', "", "needs data to replay"),
        ('sample = "GOOG"', 'sample = "GOG"', "did you mean 'GOOG'"),
        ('name = "strategies"', 'name = "oms"', "named 'oms'"),
        ('name = "strategies"', 'name = "adapter-paper"', "two services named 'adapter-paper'"),
        ('name = "sma"', 'name = "sma"\nadapter = "LIVE"', "name one of PAPER"),
        ('vt_symbols = ["GOOG.NASDAQ"]', "vt_symbols = []", "vt_symbols"),
        ('name = "PAPER"', 'name = "PAPER"\nreplay = { begin = "soon" }', "2013-03-01"),
        (
            'name = "PAPER"',
            'name = "PAPER"\nkind = "a.b:C"\nreplay = { paced = true }',
            "only a paper venue",
        ),
        ('run = "run"', 'run = "run"\n[oms]\ndigits = { USD = 20 }', "digits"),
        ('run = "run"', 'run = "run"\n[oms]\nreconcile_intervall = 1.0', "reconcile_interval"),
        ('run = "run"', 'run = "run"\n[recorder]\nsegment_mb = 0', "segment_mb"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    with pytest.raises(ConfigError, match=told) as raised:
        load_installation(write(tmp_path, SMALL.replace(old, new, 1)))
    assert "own.toml" in str(raised.value)


def test_two_strategies_of_one_name_are_refused(tmp_path: Path) -> None:
    second = SMALL[SMALL.index("[[runners]]") :].replace('"strategies"', '"more"')
    with pytest.raises(ConfigError, match="two strategies named 'sma'"):
        load_installation(write(tmp_path, SMALL + second))


def test_a_run_folder_that_is_too_deep_for_sockets_is_told(tmp_path: Path) -> None:
    deep = "/".join(["a-very-long-name"] * 8)
    loaded = load_installation(write(tmp_path, SMALL.replace('"run"', f'"{deep}"')))
    with pytest.raises(BusError, match="shorter run folder"):
        loaded.endpoint("oms", "pub")


def test_reading_a_file_loads_neither_numpy_nor_pandas() -> None:
    code = (
        "import sys; from foxtrot.app.installation import load_installation;"
        f"load_installation({str(ROOT / 'configs' / 'paper.toml')!r});"
        "assert not {'numpy', 'pandas'} & set(sys.modules), 'loaded'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
