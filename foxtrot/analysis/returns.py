"""Textbook performance figures of a series of periodic simple returns: pure functions on arrays.

Conventions, the same in every function: ``returns`` are simple returns per period as fractions; NaN means "no value"
and is left out, except that the annual return counts it as a period with return 0; rates to subtract (``risk_free``,
``required_return``) are per period, a number or one value a period; standard deviations have ddof 1 unless told
otherwise. A figure that is not defined is NaN; a ratio of a gain to no risk at all is ``inf``.

Sources: Sharpe, "The Sharpe Ratio", Journal of Portfolio Management (1994); Sortino and Price, "Performance
Measurement in a Downside Risk Framework", Journal of Investing (1994).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

PERIODS_PER_YEAR = {"daily": 252, "weekly": 52, "monthly": 12, "quarterly": 4, "yearly": 1}

_NAN = float("nan")
_NO_VARIATION = 1e-13


def cumulative_returns(returns: ArrayLike) -> NDArray[np.float64]:
    """Return the compounded return since the beginning after each period, shape (n,); NaN counts as 0."""
    values = np.nan_to_num(_array(returns), nan=0.0)
    return np.asarray(np.cumprod(1.0 + values) - 1.0, dtype=np.float64)


def max_drawdown(returns: ArrayLike) -> float:
    """Return the deepest fall of wealth from an earlier peak as a fraction ≤ 0; the start counts as a peak."""
    values = _clean(returns)
    if not len(values):
        return _NAN
    wealth = np.concatenate(([1.0], np.cumprod(1.0 + values)))
    return float((wealth / np.maximum.accumulate(wealth) - 1.0).min())


def annual_return(returns: ArrayLike, periods_per_year: float = 252.0) -> float:
    """Return the compound annual growth, (Π(1+r))^(A/n) − 1, n counting every entry; −1 after a total loss."""
    values = _array(returns)
    if not len(values):
        return _NAN
    with np.errstate(invalid="ignore"):
        wealth = 1.0 + np.nan_to_num(values, nan=0.0)
    if (wealth <= 0.0).any():
        return -1.0
    return annualise(float(wealth.prod()), periods_per_year / len(values))


def annualise(growth: float, years_inverse: float) -> float:
    """Return growth^years_inverse − 1; −1 for growth ≤ 0 (everything lost), ``inf`` beyond what a float holds."""
    if math.isnan(growth) or math.isnan(years_inverse):
        return _NAN
    if growth <= 0.0:
        return -1.0
    try:
        return float(growth**years_inverse) - 1.0
    except OverflowError:
        return float("inf")


def annual_volatility(returns: ArrayLike, periods_per_year: float = 252.0, ddof: int = 1) -> float:
    """Return the standard deviation of the returns · √A; NaN with fewer than ddof + 1 returns."""
    values = _clean(returns)
    if len(values) <= ddof:
        return _NAN
    return deviation(values, ddof) * math.sqrt(periods_per_year)


def sharpe_ratio(
    returns: ArrayLike,
    risk_free: ArrayLike = 0.0,
    periods_per_year: float = 252.0,
    ddof: int = 1,
) -> float:
    """Return mean(r − rf) / std(r − rf) · √A; NaN with fewer than two returns or without variation."""
    excess = _clean(_array(returns) - _array(risk_free))
    if len(excess) < 2:
        return _NAN
    spread = deviation(excess, ddof)
    if spread == 0.0:
        return _NAN
    return float(excess.mean()) / spread * math.sqrt(periods_per_year)


def downside_risk(
    returns: ArrayLike, required_return: ArrayLike = 0.0, periods_per_year: float = 252.0
) -> float:
    """Return √mean(min(r − MAR, 0)²) · √A, the mean over all returns and not over the losses alone."""
    excess = _clean(_array(returns) - _array(required_return))
    if not len(excess):
        return _NAN
    shortfall = np.minimum(excess, 0.0)
    return math.sqrt(float((shortfall * shortfall).mean())) * math.sqrt(periods_per_year)


def sortino_ratio(
    returns: ArrayLike, required_return: ArrayLike = 0.0, periods_per_year: float = 252.0
) -> float:
    """Return mean(r − MAR) · A / downside risk; ``inf`` for gains without a shortfall, NaN for nothing at all."""
    excess = _clean(_array(returns) - _array(required_return))
    if len(excess) < 2:
        return _NAN
    risk = downside_risk(returns, required_return, periods_per_year)
    return ratio(float(excess.mean()) * periods_per_year, risk)


def calmar_ratio(returns: ArrayLike, periods_per_year: float = 252.0) -> float:
    """Return annual return / |maximum drawdown|; ``inf`` for a gain without a drawdown."""
    return ratio(annual_return(returns, periods_per_year), abs(max_drawdown(returns)))


def value_at_risk(returns: ArrayLike, tail: float = 0.05) -> float:
    """Return the historical value at risk as a return: the ``tail`` quantile, linearly interpolated."""
    values = _clean(returns)
    return float(np.quantile(values, tail)) if len(values) else _NAN


def conditional_value_at_risk(returns: ArrayLike, tail: float = 0.05) -> float:
    """Return the expected shortfall as a return: the mean of the returns at or below the value at risk."""
    values = _clean(returns)
    if not len(values):
        return _NAN
    return float(values[values <= np.quantile(values, tail)].mean())


def skewness(returns: ArrayLike) -> float:
    """Return the bias-corrected (adjusted Fisher-Pearson) skewness; NaN below three returns or no variation."""
    values = _clean(returns)
    n = len(values)
    if n < 3 or deviation(values, 0) == 0.0:
        return _NAN
    centred = values - values.mean()
    m2, m3 = float((centred**2).mean()), float((centred**3).mean())
    return float(math.sqrt(n * (n - 1)) / (n - 2) * m3 / m2**1.5)


def excess_kurtosis(returns: ArrayLike) -> float:
    """Return the bias-corrected excess kurtosis (normal = 0); NaN below four returns or without variation."""
    values = _clean(returns)
    n = len(values)
    if n < 4 or deviation(values, 0) == 0.0:
        return _NAN
    centred = values - values.mean()
    m2, m4 = float((centred**2).mean()), float((centred**4).mean())
    return (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * (m4 / m2**2 - 3.0) + 6.0)


def alpha_beta(
    returns: ArrayLike,
    benchmark: ArrayLike,
    risk_free: float = 0.0,
    periods_per_year: float = 252.0,
) -> tuple[float, float]:
    """Return Jensen's alpha a year (mean · A, not compounded) and beta = cov / var (ddof 1) of two return series.

    Periods where either is NaN are left out; NaN below two periods or when the benchmark does not move.
    """
    own, market = _array(returns) - risk_free, _array(benchmark) - risk_free
    both = ~(np.isnan(own) | np.isnan(market))
    own, market = own[both], market[both]
    if len(own) < 2 or deviation(market, 1) == 0.0:
        return _NAN, _NAN
    cov = np.cov(own, market, ddof=1)
    beta = float(cov[0, 1] / cov[1, 1])
    return float((own - beta * market).mean()) * periods_per_year, beta


def rolling_sharpe(
    returns: NDArray[np.float64], window: int, periods_per_year: float = 252.0
) -> NDArray[np.float64]:
    """Return the Sharpe ratio (rf 0, ddof 1) of each window that ends at i, shape (n,); NaN before the first."""
    n = len(returns)
    out = np.full(n, np.nan)
    if window < 2 or n < window:
        return out
    views = np.lib.stride_tricks.sliding_window_view(returns, window)
    spread = views.std(axis=1, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = views.mean(axis=1) / spread * math.sqrt(periods_per_year)
    out[window - 1 :] = np.where(spread > _NO_VARIATION, values, np.nan)
    return out


def geometric_mean(returns: ArrayLike) -> float:
    """Return exp(mean(log(1 + r))) − 1; −1 if any return is a total loss, NaN for none."""
    values = _clean(returns)
    if not len(values):
        return _NAN
    if (values <= -1.0).any():
        return -1.0
    return float(np.exp(np.log1p(values).mean()) - 1.0)


def deviation(values: NDArray[np.float64], ddof: int) -> float:
    """Return the standard deviation, and exactly 0 where only rounding varies; NaN with too few values."""
    if len(values) <= ddof:
        return _NAN
    spread = float(values.std(ddof=ddof))
    return 0.0 if spread <= _NO_VARIATION * max(1.0, float(np.abs(values).max())) else spread


def ratio(gain: float, risk: float) -> float:
    """Return gain / risk; with no risk ± ``inf`` by the sign of the gain, NaN when there is no gain either."""
    if math.isnan(gain) or math.isnan(risk):
        return _NAN
    if risk == 0.0:
        return math.copysign(float("inf"), gain) if gain else _NAN
    return gain / risk


def _array(values: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64)


def _clean(values: ArrayLike) -> NDArray[np.float64]:
    array = np.atleast_1d(_array(values))
    return array[~np.isnan(array)]
