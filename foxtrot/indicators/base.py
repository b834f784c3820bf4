"""What every indicator is: one definition in two forms, streaming and batch.

Invariants, held by the tests for each class:

* ``batch`` over any split of a series gives bit for bit what ``update`` gives value by value, and leaves the same
  state behind; the two forms may be mixed. So every rolling or recursive formula fixes its order of floating-point
  operations. (The builtin ``sum`` is not used on floats: since Python 3.12 it compensates its rounding.)
* The running state is private. ``value``, ``previous`` and the other outputs are plain attributes that are only ever
  written here, never read back, so a host may compute a chunk ahead and set them row by row.
* Inputs must be finite. NaN and infinities raise ``DataError`` before any state has changed; they are neither skipped
  nor propagated. An output is NaN while the indicator warms up, and where its definition has no value (no volume in a
  VWAP's window, a rate of change from a price of zero).
* This package imports numpy only when ``batch`` is called.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self

from foxtrot.core.errors import ConfigError, DataError
from foxtrot.core.objects import BarData

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

NAN = float("nan")

BAR_COLUMNS = tuple(
    name
    for name in BarData.__struct_fields__
    if name not in ("vt_symbol", "interval", "adapter_name")
)


class Indicator(ABC):
    """A figure computed from a series of bars (or from any series of numbers).

    Streaming: ``update(*inputs)`` once for each bar, then read ``value``. Batch: ``batch(*columns)``.

    Attributes:
        inputs: names of the ``BarData`` fields that ``update`` takes, in order; ``on`` chooses others.
        outputs: names of the attributes that hold the newest outputs; the first is always ``value``.
        parameters: names of the attributes that define the indicator, for ``repr`` and reports.
        value: the main output; NaN until ``warmup`` updates were seen.
        previous: the main output one update earlier.
        count: updates seen.
        warmup: updates needed before the first value.
    """

    inputs: tuple[str, ...] = ("close_price",)
    outputs: ClassVar[tuple[str, ...]] = ("value",)
    parameters: ClassVar[tuple[str, ...]] = ("period",)

    value: float
    previous: float
    count: int
    warmup: int
    _last: float  # the main output once more: public attributes are never read back

    @property
    def ready(self) -> bool:
        """Whether ``value`` is a number yet; when it is, so are all outputs."""
        return self.value == self.value  # false for NaN alone

    def on(self, *inputs: str) -> Self:
        """Take other ``BarData`` fields than the usual ones, for example ``SMA(20).on("volume")``.

        Returns:
            The indicator itself.

        Raises:
            ConfigError: the number of names differs from ``inputs``, or one is no numeric field of a bar.
        """
        if len(inputs) != len(self.inputs):
            raise ConfigError(
                f"{self!r} takes {len(self.inputs)} inputs {self.inputs}, not {len(inputs)}: {inputs}"
            )
        for name in inputs:
            if name not in BAR_COLUMNS:
                raise ConfigError(
                    f"{self!r}: {name!r} is no numeric field of a bar; use one of {', '.join(BAR_COLUMNS)}"
                )
        self.inputs = inputs
        return self

    @abstractmethod
    def update(self, *inputs: Any, **named: Any) -> None:
        """Take the next value of each input (floats, in the order of ``inputs``).

        Raises:
            DataError: an input is NaN or infinite; the indicator is unchanged.
        """

    def batch(self, *columns: FloatArray) -> tuple[FloatArray, ...]:
        """Take whole columns, from the current state on, as if ``update`` were called row by row.

        Args:
            *columns: one array of shape (n,) for each of ``inputs``.

        Returns:
            For each of ``outputs`` a float64 array of shape (n,): its value after each row.

        Raises:
            DataError: wrong number or shape of columns, or a NaN or infinity; the indicator is unchanged.
        """
        import numpy as np

        arrays = self._checked(columns)
        rows = len(arrays[0])
        if not rows:
            return tuple(np.empty(0) for _ in self.outputs)
        count, last = self.count, self._last
        with np.errstate(all="ignore"):  # as in streaming, overflow is silent
            results = self._batch(*arrays)
        main = results[0]
        for name, result in zip(self.outputs, results, strict=True):
            setattr(self, name, result.item(-1))
        self.count = count + rows
        self.previous = main.item(-2) if rows > 1 else last
        self._last = self.value
        return results

    def reset(self) -> None:
        """Forget everything seen; parameters and ``inputs`` stay."""
        self.value = self.previous = self._last = NAN
        for name in self.outputs:
            setattr(self, name, NAN)
        self.count = 0
        self._clear()

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.parameters)
        return f"{type(self).__name__}({told})"

    @abstractmethod
    def _clear(self) -> None:
        """Set the private state to that of a new indicator."""

    def _batch(self, *columns: FloatArray) -> tuple[FloatArray, ...]:
        """Compute the outputs of checked, non-empty columns and advance the private state.

        The default calls ``update`` row by row.
        """
        import numpy as np

        update, names = self.update, self.outputs
        rows = zip(*(column.tolist() for column in columns), strict=True)
        if len(names) == 1:
            values = []
            for row in rows:
                update(*row)
                values.append(self.value)
            return (np.array(values),)
        results = []
        for row in rows:
            update(*row)
            results.append([getattr(self, name) for name in names])
        return tuple(np.array(output) for output in zip(*results, strict=True))

    def _checked(self, columns: tuple[FloatArray, ...]) -> list[FloatArray]:
        import numpy as np

        if len(columns) != len(self.inputs):
            raise DataError(
                f"{self!r}.batch takes {len(self.inputs)} columns {self.inputs}, not {len(columns)}"
            )
        arrays = [np.ascontiguousarray(column, dtype=np.float64) for column in columns]
        shapes = {array.shape for array in arrays}
        if len(shapes) > 1 or arrays[0].ndim != 1:
            raise DataError(f"{self!r}.batch: columns must be 1-D and of one length, not {shapes}")
        for name, array in zip(self.inputs, arrays, strict=True):
            finite = np.isfinite(array)
            if not finite.all():
                row = int(finite.argmin())
                raise self._not_finite(name, array.item(row), self.count + row + 1)
        return arrays

    def _refuse(self, *inputs: float) -> NoReturn:
        """Raise the error for the input that is not finite."""
        for name, number in zip(self.inputs, inputs, strict=True):
            if number - number != 0.0:
                raise self._not_finite(name, number, self.count + 1)
        raise AssertionError(f"{self!r}: all inputs are finite: {inputs}")

    def _not_finite(self, name: str, number: float, position: int) -> DataError:
        return DataError(
            f"{self!r}: {name} is {number} at update {position}, but must be finite; "
            f"clean the data, or feed another indicator's value only once that one is ready"
        )


def check_period(indicator: object, name: str, period: object, least: int = 1) -> int:
    """Return ``period`` if it is a whole number of at least ``least``.

    Raises:
        ConfigError: it is not; names the indicator and the parameter.
    """
    if isinstance(period, bool) or not isinstance(period, int) or period < least:
        raise ConfigError(
            f"{type(indicator).__name__}: {name} must be a whole number of at least {least}, not {period!r}"
        )
    return period


def check_choice(indicator: object, name: str, choice: str, choices: tuple[str, ...]) -> str:
    """Return ``choice`` if it is among ``choices``.

    Raises:
        ConfigError: it is not; names the indicator, the parameter and the choices.
    """
    if choice not in choices:
        raise ConfigError(
            f"{type(indicator).__name__}: {name} must be one of {', '.join(choices)}, not {choice!r}"
        )
    return choice
