"""What the faults are made with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.chaos.harness import Chaos, Settings

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A full run takes minutes a fault."""
    if os.environ.get("FOXTROT_CHAOS") == "full" or os.environ.get("FOXTROT_CHAOS_RUNS"):
        for item in items:
            if item.path.is_relative_to(HERE):
                item.add_marker(pytest.mark.timeout(3_600))


@pytest.fixture(scope="session")
def chaos() -> Chaos:
    """Makes faults as the environment says."""
    return Chaos(Settings.read())
