"""Topics of the event engine. A bare topic means all; a suffixed one (``eTick.BTCUSDT.BINANCE``) exactly that one."""

from __future__ import annotations

EVENT_TICK = "eTick."
EVENT_BAR = "eBar."
EVENT_TRADE_TICK = "eTradeTick."
EVENT_BOOK = "eBook."
EVENT_TRADE = "eTrade."
EVENT_ORDER = "eOrder."
EVENT_POSITION = "ePosition."
EVENT_ACCOUNT = "eAccount."
EVENT_CONTRACT = "eContract."
EVENT_LOG = "eLog"
EVENT_TIMER = "eTimer"
EVENT_STRATEGY = "eStrategy."
EVENT_ERROR = "eError"
