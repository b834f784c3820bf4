"""The backtest as a process: ``python -m services.backtest --config configs/backtest.toml --name backtest``."""

import sys

from foxtrot.app.service import run_backtest_service

if __name__ == "__main__":
    sys.exit(run_backtest_service(sys.argv[1:]))
