"""A strategy runner as a process: ``python -m services.strategy --config configs/paper.toml --name strategies``."""

import sys

from foxtrot.app.strategy_service import run_strategy_service

if __name__ == "__main__":
    sys.exit(run_strategy_service(sys.argv[1:]))
