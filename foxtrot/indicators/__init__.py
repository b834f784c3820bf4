"""Technical indicators: one definition, two bit-equal forms (streaming and batch); see ``base`` for the contract."""

from foxtrot.indicators.averages import EMA, MACD, SMA, WMA
from foxtrot.indicators.base import Indicator
from foxtrot.indicators.cross import Cross, crossed_above, crossed_below
from foxtrot.indicators.oscillators import CCI, ROC, RSI, Stochastic, WilliamsR
from foxtrot.indicators.rolling import Highest, Lowest, RollingSum, StdDev
from foxtrot.indicators.trend import ADX
from foxtrot.indicators.volatility import ATR, BollingerBands, DonchianChannel
from foxtrot.indicators.volume import OBV, VWAP, SessionVWAP

__all__ = [
    "ADX",
    "ATR",
    "CCI",
    "EMA",
    "MACD",
    "OBV",
    "ROC",
    "RSI",
    "SMA",
    "VWAP",
    "WMA",
    "BollingerBands",
    "Cross",
    "DonchianChannel",
    "Highest",
    "Indicator",
    "Lowest",
    "RollingSum",
    "SessionVWAP",
    "StdDev",
    "Stochastic",
    "WilliamsR",
    "crossed_above",
    "crossed_below",
]
