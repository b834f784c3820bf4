"""The recorder as a process: ``python -m services.recorder --config configs/paper.toml --name recorder``."""

import sys

from foxtrot.app.recorder_service import run_recorder_service

if __name__ == "__main__":
    sys.exit(run_recorder_service(sys.argv[1:]))
