"""Who is alive, by the heartbeats."""

from __future__ import annotations

import pytest

from foxtrot.bus.health import STATUS_STOPPED, Health, HealthBoard, HealthChange
from foxtrot.bus.heartbeat import Heartbeat

SECOND = 1_000_000_000


@pytest.fixture
def board() -> HealthBoard:
    return HealthBoard()


def test_a_service_falls_silent_and_comes_back(board: HealthBoard) -> None:
    beat = Heartbeat("oms", 4, "READY")
    assert board.beat(beat, 0) == HealthChange("oms", Health.WAITED, Health.ALIVE, 4)
    assert board.beat(beat, SECOND) is None
    assert not board.check(4 * SECOND - 1)
    assert board.check(4 * SECOND) == [HealthChange("oms", Health.ALIVE, Health.STALE, 4)]
    assert not board.check(5 * SECOND)
    assert board.check(6 * SECOND) == [HealthChange("oms", Health.STALE, Health.DEAD, 4)]
    assert not board.check(60 * SECOND)
    assert not board.all_alive()
    assert board.beat(beat, 61 * SECOND) == HealthChange("oms", Health.DEAD, Health.ALIVE, 4)
    assert board.all_alive()


def test_a_restart_is_told_even_when_nobody_noticed_the_end(board: HealthBoard) -> None:
    board.beat(Heartbeat("oms", 4), 0)
    change = board.beat(Heartbeat("oms", 5), SECOND)
    assert change == HealthChange("oms", Health.ALIVE, Health.ALIVE, 5, restarted=True)
    assert board.services["oms"].restarts == 1


def test_a_heartbeat_of_an_epoch_that_is_over_keeps_nobody_alive(board: HealthBoard) -> None:
    board.beat(Heartbeat("oms", 5), 0)
    assert board.beat(Heartbeat("oms", 4), 4 * SECOND) is None
    assert board.ignored == 1
    assert board.check(5 * SECOND)[0].now is Health.DEAD


def test_a_service_that_is_expected_and_never_comes_is_dead(board: HealthBoard) -> None:
    board.expect("md", 0)
    assert not board.all_alive()
    assert not board.check(4 * SECOND)
    assert board.check(5 * SECOND) == [HealthChange("md", Health.WAITED, Health.DEAD, 0)]


def test_a_service_that_says_goodbye_is_stopped_and_not_dead(board: HealthBoard) -> None:
    board.beat(Heartbeat("md", 1), 0)
    change = board.beat(Heartbeat("md", 1, STATUS_STOPPED), SECOND)
    assert change == HealthChange("md", Health.ALIVE, Health.STOPPED, 1)
    assert not board.check(60 * SECOND)
    board.forget("md")
    board.forget("md")
    assert not board.services


def test_limits_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="below dead"):
        HealthBoard(stale=5, dead=5)
