"""The batch form of each indicator equals its streaming form bit for bit, however a series is cut."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foxtrot.indicators import SMA, Highest, Indicator, Lowest, StdDev
from tests.unit.indicators.series import (
    MAKERS,
    inputs_of,
    random_bars,
    real_bars,
    state,
    streamed,
)

IDS = [repr(make()) for make in MAKERS]
every_indicator = pytest.mark.parametrize("make", MAKERS, ids=IDS)


def in_chunks(indicator: Indicator, columns: list[np.ndarray], cuts: list[int]) -> list[np.ndarray]:
    edges = [0, *cuts, len(columns[0])]
    parts = [
        indicator.batch(*(column[start:stop] for column in columns))
        for start, stop in itertools.pairwise(edges)
    ]
    return [np.concatenate(output) for output in zip(*parts, strict=True)]


def same_bits(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return [array.tobytes() for array in one] == [array.tobytes() for array in other]


@every_indicator
def test_whole_real_columns_equal_streaming(make: Callable[[], Indicator]) -> None:
    columns = inputs_of(make(), real_bars())
    stream, batch = make(), make()

    expected = streamed(stream, columns)
    results = batch.batch(*columns)

    assert same_bits(list(results), expected)
    assert state(batch) == state(stream)
    assert all(array.dtype == np.float64 and array.shape == columns[0].shape for array in results)


@every_indicator
def test_chunks_of_1024_equal_streaming(make: Callable[[], Indicator]) -> None:
    columns = inputs_of(make(), random_bars(1, 3_000))
    stream, batch = make(), make()

    assert same_bits(in_chunks(batch, columns, [1024, 2048]), streamed(stream, columns))
    assert state(batch) == state(stream)


@every_indicator
@settings(max_examples=12, deadline=None, derandomize=True)
@given(seed=st.integers(0, 999), data=st.data())
def test_any_cut_of_a_random_series_equals_streaming(
    make: Callable[[], Indicator], seed: int, data: st.DataObject
) -> None:
    rows = data.draw(st.integers(1, 120))
    columns = inputs_of(make(), random_bars(seed, rows))
    positions = st.lists(st.integers(0, rows), max_size=6)  # equal ones make empty chunks
    cuts = sorted(data.draw(positions))
    stream, batch = make(), make()

    assert same_bits(in_chunks(batch, columns, cuts), streamed(stream, columns))
    assert state(batch) == state(stream)


@every_indicator
def test_single_rows_and_empty_chunks_equal_streaming(make: Callable[[], Indicator]) -> None:
    columns = inputs_of(make(), random_bars(2, 60))
    stream, batch = make(), make()
    cuts = sorted([*range(61), 7, 30, 30])

    assert same_bits(in_chunks(batch, columns, cuts), streamed(stream, columns))
    assert state(batch) == state(stream)


@every_indicator
def test_both_forms_may_be_mixed(make: Callable[[], Indicator]) -> None:
    columns = inputs_of(make(), random_bars(3, 200))
    stream, mixed = make(), make()
    expected = streamed(stream, columns)

    first = streamed(mixed, [column[:45] for column in columns])
    middle = mixed.batch(*(column[45:170] for column in columns))
    last = streamed(mixed, [column[170:] for column in columns])

    parts = zip(first, middle, last, strict=True)
    assert same_bits([np.concatenate(part) for part in parts], expected)
    assert state(mixed) == state(stream)


@every_indicator
def test_the_state_does_not_depend_on_what_a_host_writes_into_the_outputs(
    make: Callable[[], Indicator],
) -> None:
    columns = inputs_of(make(), random_bars(4, 150))
    stream, hosted = make(), make()
    expected = streamed(stream, columns)

    results = []
    for start in (0, 50, 100):
        results.append(hosted.batch(*(column[start : start + 50] for column in columns)))
        for name in (*hosted.outputs, "previous"):
            setattr(hosted, name, -1.0)

    assert same_bits([np.concatenate(part) for part in zip(*results, strict=True)], expected)


@every_indicator
def test_value_previous_count_and_warmup_tell_the_truth(make: Callable[[], Indicator]) -> None:
    indicator = make()
    columns = random_bars(5, 80)
    columns["volume"] += 1.0
    values = []
    for row in zip(*(column.tolist() for column in inputs_of(indicator, columns)), strict=True):
        before = indicator.value
        indicator.update(*row)
        values.append(indicator.value)
        assert np.array_equal([indicator.previous], [before], equal_nan=True)
        assert indicator.ready == (indicator.count >= indicator.warmup)
        if indicator.ready:
            assert not np.isnan([getattr(indicator, name) for name in indicator.outputs]).any()

    assert indicator.count == 80
    assert np.isnan(values[: indicator.warmup - 1]).all()


@every_indicator
def test_reset_gives_a_new_indicator(make: Callable[[], Indicator]) -> None:
    indicator = make()
    indicator.batch(*inputs_of(indicator, random_bars(6, 77)))

    indicator.reset()

    assert state(indicator) == state(make())
    assert not indicator.ready
    assert indicator.count == 0


@pytest.mark.parametrize("kind", [SMA, Highest, Lowest, StdDev])
def test_a_window_longer_than_its_chunks(kind: type[Indicator]) -> None:
    columns = [random_bars(7, 1_000)["close_price"]]
    stream, batch = kind(333), kind(333)  # type: ignore[call-arg]

    cuts = [50, 100, 400, 420, 690]
    assert same_bits(in_chunks(batch, columns, cuts), streamed(stream, columns))
    assert state(batch) == state(stream)


@pytest.mark.parametrize("kind", [Highest, Lowest])
def test_zeros_of_both_signs_are_one_extreme(kind: type[Indicator]) -> None:
    columns = [np.array([0.0, -0.0, -0.0, 0.0, -0.0, -0.0, -0.0, 0.0] * 4)]
    stream, batch = kind(3), kind(3)  # type: ignore[call-arg]

    assert same_bits(list(batch.batch(*columns)), streamed(stream, columns))
