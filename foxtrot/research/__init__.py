"""Many backtests: optimisation, walk-forward, bias checks."""
