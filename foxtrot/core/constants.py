"""The enumerations of the platform, and constants for the clock's units.

Values are what travels on the wire and into files, so a member is never renamed or reused, only added.
Attribute access on an ``Enum`` is slow on Python 3.11 (120-165 ns): hot code binds members to module constants.
"""

from __future__ import annotations

from enum import StrEnum

NS_PER_SECOND = 1_000_000_000
NS_PER_MINUTE = 60 * NS_PER_SECOND
NS_PER_HOUR = 60 * NS_PER_MINUTE
NS_PER_DAY = 24 * NS_PER_HOUR


class Direction(StrEnum):
    """Side of an order or trade; ``NET`` only for netting positions."""

    LONG = "LONG"
    SHORT = "SHORT"
    NET = "NET"


class Offset(StrEnum):
    """Whether an order opens or closes; venues without the notion use ``NONE``."""

    NONE = "NONE"
    OPEN = "OPEN"
    CLOSE = "CLOSE"
    CLOSETODAY = "CLOSETODAY"
    CLOSEYESTERDAY = "CLOSEYESTERDAY"


class Status(StrEnum):
    """State of an order; the legal moves are in ``foxtrot.server.oms.transitions``."""

    SUBMITTING = "SUBMITTING"
    NOTTRADED = "NOTTRADED"
    PARTTRADED = "PARTTRADED"
    TRIGGERED = "TRIGGERED"
    ALLTRADED = "ALLTRADED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    DENIED = "DENIED"
    UNKNOWN = "UNKNOWN"


class OrderType(StrEnum):
    """What makes an order executable and at what price."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP = "STOP"
    STOP_LIMIT = "STOP_LIMIT"
    MARKET_TO_LIMIT = "MARKET_TO_LIMIT"
    MARKET_IF_TOUCHED = "MARKET_IF_TOUCHED"
    LIMIT_IF_TOUCHED = "LIMIT_IF_TOUCHED"
    TRAILING_STOP = "TRAILING_STOP"
    TRAILING_STOP_LIMIT = "TRAILING_STOP_LIMIT"
    RFQ = "RFQ"


class TimeInForce(StrEnum):
    """How long an order works."""

    GTC = "GTC"
    DAY = "DAY"
    GTD = "GTD"
    IOC = "IOC"
    FOK = "FOK"
    AT_OPEN = "AT_OPEN"
    AT_CLOSE = "AT_CLOSE"


class VolumeMode(StrEnum):
    """What ``OrderRequest.volume`` counts.

    ``UNITS`` is the contract's own unit; ``CASH`` an amount of the account's currency and ``EQUITY`` a fraction of
    the account's equity, both turned into whole lots at the moment of the fill.
    """

    UNITS = "UNITS"
    CASH = "CASH"
    EQUITY = "EQUITY"


class Liquidity(StrEnum):
    """Whether a fill took or made liquidity."""

    NONE = "NONE"
    MAKER = "MAKER"
    TAKER = "TAKER"


class Product(StrEnum):
    """Class of an instrument."""

    EQUITY = "EQUITY"
    FUTURES = "FUTURES"
    OPTION = "OPTION"
    INDEX = "INDEX"
    FOREX = "FOREX"
    SPOT = "SPOT"
    PERPETUAL = "PERPETUAL"
    ETF = "ETF"
    BOND = "BOND"
    WARRANT = "WARRANT"
    SPREAD = "SPREAD"
    FUND = "FUND"
    CFD = "CFD"


class OptionType(StrEnum):
    """Right that an option gives."""

    CALL = "CALL"
    PUT = "PUT"


class Interval(StrEnum):
    """Nominal length of a bar; the exact span is ``ts_open`` to ``ts_event``."""

    TICK = "tick"
    SECOND = "1s"
    MINUTE = "1m"
    MINUTE_3 = "3m"
    MINUTE_5 = "5m"
    MINUTE_10 = "10m"
    MINUTE_15 = "15m"
    MINUTE_30 = "30m"
    HOUR = "1h"
    HOUR_2 = "2h"
    HOUR_4 = "4h"
    DAILY = "1d"
    WEEKLY = "1w"
    OTHER = "other"


class Exchange(StrEnum):
    """Venues by their usual short names; ``LOCAL`` for made-up data, ``SIM`` for the simulated venue."""

    # Foxtrot's own
    LOCAL = "LOCAL"
    SIM = "SIM"
    PAPER = "PAPER"
    # Americas
    NYSE = "NYSE"
    NASDAQ = "NASDAQ"
    ARCA = "ARCA"
    AMEX = "AMEX"
    BATS = "BATS"
    IEX = "IEX"
    OTC = "OTC"
    SMART = "SMART"
    CME = "CME"
    CBOT = "CBOT"
    NYMEX = "NYMEX"
    COMEX = "COMEX"
    CBOE = "CBOE"
    CFE = "CFE"
    ICE = "ICE"
    TSX = "TSX"
    B3 = "B3"
    # Europe
    LSE = "LSE"
    LME = "LME"
    XETRA = "XETRA"
    EUREX = "EUREX"
    EURONEXT = "EURONEXT"
    SIX = "SIX"
    OMX = "OMX"
    BME = "BME"
    # Asia and Pacific
    SSE = "SSE"
    SZSE = "SZSE"
    BSE = "BSE"
    SHFE = "SHFE"
    CZCE = "CZCE"
    DCE = "DCE"
    INE = "INE"
    GFEX = "GFEX"
    CFFEX = "CFFEX"
    SGE = "SGE"
    SEHK = "SEHK"
    HKFE = "HKFE"
    SGX = "SGX"
    TSE = "TSE"
    OSE = "OSE"
    TOCOM = "TOCOM"
    KRX = "KRX"
    TWSE = "TWSE"
    TAIFEX = "TAIFEX"
    ASX = "ASX"
    NSE = "NSE"
    MCX = "MCX"
    # Foreign exchange
    IDEALPRO = "IDEALPRO"
    OANDA = "OANDA"
    FXCM = "FXCM"
    DUKASCOPY = "DUKASCOPY"
    TRUEFX = "TRUEFX"
    # Crypto
    BINANCE = "BINANCE"
    BITFINEX = "BITFINEX"
    BITGET = "BITGET"
    BITMEX = "BITMEX"
    BITSTAMP = "BITSTAMP"
    BYBIT = "BYBIT"
    COINBASE = "COINBASE"
    DERIBIT = "DERIBIT"
    DYDX = "DYDX"
    FTX = "FTX"
    GATEIO = "GATEIO"
    GEMINI = "GEMINI"
    HUOBI = "HUOBI"
    HYPERLIQUID = "HYPERLIQUID"
    KRAKEN = "KRAKEN"
    KUCOIN = "KUCOIN"
    OKX = "OKX"
