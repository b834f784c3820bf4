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

# Commands go down (strategy to OMS), reports come up (adapter to OMS). Only what the OMS publishes on the topics
# above has been committed.
COMMAND_ORDER = "cOrder"
COMMAND_MODIFY = "cModify"
COMMAND_CANCEL = "cCancel"
REPORT_ORDER = "rOrder"
REPORT_TRADE = "rTrade"
REPORT_POSITION = "rPosition"
REPORT_ACCOUNT = "rAccount"
REPORT_CONTRACT = "rContract"
REPORT_SNAPSHOT = "rSnapshot"
