"""The package's front door."""

from __future__ import annotations

import subprocess
import sys

import pytest

import foxtrot.bus


def test_every_public_name_is_there() -> None:
    assert set(foxtrot.bus.__all__) == set(foxtrot.bus._HOME)
    assert dir(foxtrot.bus) == sorted(foxtrot.bus.__all__)
    for name in foxtrot.bus.__all__:
        assert getattr(foxtrot.bus, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        foxtrot.bus.Nonsense  # noqa: B018


def test_the_package_loads_zeromq_only_when_it_is_used() -> None:
    code = "import sys, foxtrot.bus; sys.exit('zmq' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
