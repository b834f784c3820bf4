"""A venue connection as a process: ``python -m services.adapter --config configs/paper.toml --name adapter-paper``."""

import sys

from foxtrot.app.adapter_service import run_adapter_service

if __name__ == "__main__":
    sys.exit(run_adapter_service(sys.argv[1:]))
