"""The conventions of the simulated exchange: every one an option, each with the words that the report prints."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from math import inf, isfinite

from foxtrot.core.errors import ConfigError


class MarketFill(StrEnum):
    """When a market order that was decided on a bar's close fills."""

    NEXT_OPEN = "next_open"
    SAME_CLOSE = "same_close"


class IntrabarPath(StrEnum):
    """In which order a bar's extremes are visited between its open and its close."""

    NEAREST = "nearest"
    HIGH_FIRST = "high_first"
    LOW_FIRST = "low_first"


class LimitFill(StrEnum):
    """Whether a limit order fills when its price is touched, or only when it is traded through."""

    TOUCH = "touch"
    CROSS = "cross"


class GapFill(StrEnum):
    """Where a stop fills whose trigger lies inside a gap: at the open (the worse price) or at its trigger."""

    OPEN = "open"
    TRIGGER = "trigger"


class Finalize(StrEnum):
    """What becomes of open positions after the last event."""

    NONE = "none"
    LAST_CLOSE = "last_close"
    LAST_OPEN = "last_open"


@dataclass(frozen=True, slots=True)
class FeeModel:
    """Commission of one fill: a rate of the notional, per unit, per trade, and a minimum.

    Args:
        rate: fraction of the notional (0.002 is 0.2 %).
        per_unit: currency per unit of volume.
        per_trade: currency per fill.
        minimum: the least that a fill costs, in currency; 0 for none, so that rebates are paid out.
        maker_rate: rate of fills that rested in the book; ``rate`` by default; may be negative (a rebate).
        taker_rate: rate of fills that took liquidity; ``rate`` by default; may be negative too.

    Raises:
        ConfigError: a figure is NaN or infinite, or one that is no maker or taker rate is negative.
    """

    rate: float = 0.0
    per_unit: float = 0.0
    per_trade: float = 0.0
    minimum: float = 0.0
    maker_rate: float | None = None
    taker_rate: float | None = None

    def __post_init__(self) -> None:
        for name in ("rate", "per_unit", "per_trade", "minimum"):
            if not 0.0 <= getattr(self, name) < inf:
                raise ConfigError(f"fee {name} must not be negative, got {getattr(self, name)}")
        for name in ("rate", "maker_rate", "taker_rate"):
            value = getattr(self, name)
            if value is not None and not abs(value) < 1.0:
                raise ConfigError(
                    f"fee {name} is a fraction of the notional (0.001 is 0.1 %), got {value:g}"
                )
        for name in ("maker_rate", "taker_rate"):
            rate = getattr(self, name)
            if rate is not None and not isfinite(rate):
                raise ConfigError(f"fee {name} must be finite, got {rate}")

    @property
    def is_free(self) -> bool:
        """Whether no fill costs anything."""
        return not (
            self.rate
            or self.per_unit
            or self.per_trade
            or self.minimum
            or self.maker_rate
            or self.taker_rate
        )

    def fee(self, notional: float, volume: float, taker: bool) -> float:
        """Commission in currency of a fill of ``volume`` units worth ``notional``."""
        side = self.taker_rate if taker else self.maker_rate
        rate = self.rate if side is None else side
        fee = notional * rate + volume * self.per_unit + self.per_trade
        return self.minimum if self.minimum and fee < self.minimum else fee

    def describe(self) -> str:
        """The model in words."""
        if self.is_free:
            return "none"
        parts = []
        if self.rate:
            parts.append(f"{self.rate:.6g} of notional")
        if self.maker_rate is not None:
            parts.append(f"maker {self.maker_rate:.6g} of notional")
        if self.taker_rate is not None:
            parts.append(f"taker {self.taker_rate:.6g} of notional")
        if self.per_unit:
            parts.append(f"{self.per_unit:.6g} per unit")
        if self.per_trade:
            parts.append(f"{self.per_trade:.6g} per fill")
        if self.minimum:
            parts.append(f"at least {self.minimum:.6g} per fill")
        return " + ".join(parts)


@dataclass(frozen=True, slots=True)
class SlippageModel:
    """How much worse than the quoted price a taking fill is: so many ticks, and a rate of the price."""

    ticks: float = 0.0
    rate: float = 0.0

    def __post_init__(self) -> None:
        if not (0.0 <= self.ticks < inf and 0.0 <= self.rate < 1.0):
            raise ConfigError(
                f"slippage must not be negative, and its rate below 1, got ticks {self.ticks}, rate {self.rate}"
            )

    def amount(self, price: float, pricetick: float) -> float:
        """Price difference, against the order."""
        return self.ticks * pricetick + price * self.rate

    def describe(self) -> str:
        """The model in words."""
        if not (self.ticks or self.rate):
            return "none"
        return f"{self.ticks:.6g} ticks + {self.rate:.6g} of price, on market and stop fills"


@dataclass(frozen=True, slots=True)
class ExecutionModel:
    """All conventions together.

    Args:
        market_fill: when a market order decided on a close fills.
        intrabar_path: the way through a bar.
        limit_fill: touch or cross.
        gap_fill: where a stop fills in a gap.
        volume_share: largest part of a bar's (or quote's) volume that our fills may take; None for no limit.
        fees: commission.
        slippage: of market and stop fills.
        leverage: notional per unit of equity; 1 is a cash account.
        finalize: what becomes of open positions after the last event.

    Raises:
        ConfigError: leverage or volume share is not positive.
    """

    market_fill: MarketFill = MarketFill.NEXT_OPEN
    intrabar_path: IntrabarPath = IntrabarPath.NEAREST
    limit_fill: LimitFill = LimitFill.TOUCH
    gap_fill: GapFill = GapFill.OPEN
    volume_share: float | None = None
    fees: FeeModel = field(default_factory=FeeModel)
    slippage: SlippageModel = field(default_factory=SlippageModel)
    leverage: float = 1.0
    finalize: Finalize = Finalize.NONE

    def __post_init__(self) -> None:
        if not 0.0 < self.leverage < inf:
            raise ConfigError(f"leverage must be positive, got {self.leverage}")
        if self.volume_share is not None and not 0.0 < self.volume_share <= 1.0:
            raise ConfigError(f"volume_share must lie in (0, 1], got {self.volume_share}")

    def describe(self) -> dict[str, str]:
        """Each convention in words, for the report."""
        market = {
            MarketFill.NEXT_OPEN: "at the next bar's open; on quotes at once at the touch",
            MarketFill.SAME_CLOSE: "at the close of the bar they were decided on; on quotes at once",
        }
        path = {
            IntrabarPath.NEAREST: "open, nearer extreme, farther extreme, close",
            IntrabarPath.HIGH_FIRST: "open, high, low, close",
            IntrabarPath.LOW_FIRST: "open, low, high, close",
        }
        limit = {
            LimitFill.TOUCH: "when touched, at their price or a better open",
            LimitFill.CROSS: "only when traded through, at their price or a better open",
        }
        gap = {
            GapFill.OPEN: "at their trigger; at the open where the market gaps through it",
            GapFill.TRIGGER: "at their trigger, also through gaps (optimistic)",
        }
        finalize = {
            Finalize.NONE: "stay open, marked at the last price",
            Finalize.LAST_CLOSE: "are closed at the last price",
            Finalize.LAST_OPEN: "are closed at the last bar's open",
        }
        share = "unlimited"
        if self.volume_share is not None:
            share = f"at most {self.volume_share:.4g} of the volume, the rest later"
        return {
            "Market orders fill": market[self.market_fill],
            "Limit orders fill": limit[self.limit_fill],
            "Stop orders fill": gap[self.gap_fill],
            "Path inside a bar": path[self.intrabar_path],
            "Volume per fill": share,
            "Commission": self.fees.describe(),
            "Slippage": self.slippage.describe(),
            "Leverage": f"{self.leverage:.6g}; open positions are never closed by a margin call",
            "Open positions at the end": finalize[self.finalize],
        }
