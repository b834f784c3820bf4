"""The engines of a process: OMS, strategies, backtester, persistence."""
