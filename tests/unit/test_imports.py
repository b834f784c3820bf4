"""Importing is cheap: the front door loads no heavy package until something of it is asked for."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import foxtrot

HEAVY = ("numpy", "pandas", "plotly", "pyarrow", "zmq", "sqlite3", "rich", "typer")


def modules_after(code: str) -> set[str]:
    """Return the top-level and foxtrot modules that a fresh interpreter has loaded after ``code``."""
    script = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "module",
    [
        "foxtrot",
        "foxtrot.client",
        "foxtrot.core",
        "foxtrot.core.objects",
        "foxtrot.core.config",
        "foxtrot.core.log",
        "foxtrot.core.event_engine",
    ],
)
def test_what_everyone_imports_loads_nothing_heavy(module: str) -> None:
    assert not modules_after(f"import {module}").intersection(HEAVY)


def test_the_front_door_loads_nothing_of_the_house() -> None:
    assert {
        name for name in modules_after("import foxtrot") if name.startswith("foxtrot.")
    } == set()


@pytest.mark.parametrize("name", foxtrot.__all__)
def test_every_name_of_the_front_door_is_there(name: str) -> None:
    assert getattr(foxtrot, name) is not None
    assert name in dir(foxtrot)


def test_the_list_of_names_and_their_homes_agree() -> None:
    assert sorted(foxtrot.__all__) == sorted(["__version__", *foxtrot._HOME_OF])


def test_a_name_of_the_front_door_is_the_same_object_as_at_home() -> None:
    home = importlib.import_module("foxtrot.core.objects")

    assert foxtrot.BarData is home.BarData


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'foxtrot' has no attribute 'Nonsense'"):
        _ = foxtrot.Nonsense


def test_the_version_is_that_of_the_installed_package() -> None:
    metadata = importlib.import_module("importlib.metadata")

    assert foxtrot.__version__ == metadata.version("foxtrot-trading")
