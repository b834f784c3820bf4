"""The watch, supervisor's event listener: ``python -m services.watch --config configs/paper.toml --name watch``."""

import sys

from foxtrot.app.watch_service import run_watch_service

if __name__ == "__main__":
    sys.exit(run_watch_service(sys.argv[1:]))
