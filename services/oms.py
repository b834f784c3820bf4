"""The OMS as a process: ``python -m services.oms --config configs/paper.toml --name oms``."""

import sys

from foxtrot.app.oms_service import run_oms_service

if __name__ == "__main__":
    sys.exit(run_oms_service(sys.argv[1:]))
