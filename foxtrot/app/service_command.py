"""What the entry points of services share: arguments, the log, the installation, and the exit code."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from foxtrot.app.failures import exit_code
from foxtrot.app.installation import Installation, load_installation
from foxtrot.app.process import ServiceProcess
from foxtrot.core.log import configure_logging, shutdown

__all__ = ["run_service"]

Start = Callable[[ServiceProcess], object]
"""Makes a service's parts within its process, once signals are handled."""

Name = Callable[[Installation, str], str]
"""The full name of a service out of what was given on the command line; raises ``ConfigError`` for a wrong one."""


def run_service(
    role: str, arguments: Sequence[str], start: Start, *, name: str = "", find: Name | None = None
) -> int:
    """Run a service until it is stopped, and return the exit code of the process.

    Args:
        role: what it is: ``adapter``, ``recorder`` ...
        arguments: of the command line, without the program's name.
        start: makes its parts.
        name: its name where none is given.
        find: checks the name against the installation.
    """
    given = _parser(role, name).parse_args(arguments)
    configure_logging(given.log_level, target=sys.stdout)
    try:
        installation = load_installation(given.config, given.set)
        service = find(installation, given.name) if find is not None else given.name
        process = ServiceProcess(installation, service, role)
        return process.run(lambda: start(process))
    except Exception as error:
        code = exit_code(error)
        logging.getLogger(f"foxtrot.service.{given.name or role}").exception(
            "failed: %s", error, extra={"exit_code": code}
        )
        return code
    finally:
        shutdown()


def _parser(role: str, name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"services.{role}", description=f"Run the {role}.")
    parser.add_argument("--config", type=Path, required=True, help="installation (TOML)")
    parser.add_argument("--name", default=name, help="name of the service")
    parser.add_argument("--log-level", default="INFO", help="lowest level that is logged")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override a key of the file"
    )
    return parser
