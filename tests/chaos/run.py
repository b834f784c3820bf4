"""Make every fault as often as it takes, and write what came of it: ``make chaos``.

Options are passed on to pytest (``-k F24``); ``--resume`` passes over the faults that have a good result of the same
count and seed, so a run that was cut short goes on where it was. The results go to ``chaos-results.json`` in the
current folder, or to ``FOXTROT_CHAOS_RESULTS``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def main(arguments: list[str]) -> int:
    """Run pytest on this folder; returns its exit code."""
    environ = {"FOXTROT_CHAOS": "full", "FOXTROT_CHAOS_RESULTS": "chaos-results.json", **os.environ}
    if "--resume" in arguments:
        arguments = [argument for argument in arguments if argument != "--resume"]
        environ["FOXTROT_CHAOS_RESUME"] = "1"
    results = Path(environ["FOXTROT_CHAOS_RESULTS"]).absolute()
    environ["FOXTROT_CHAOS_RESULTS"] = str(results)
    command = [sys.executable, "-m", "pytest", str(HERE), *arguments]
    code = subprocess.run(command, cwd=ROOT, env=environ, check=False).returncode
    if results.exists():
        from tests.chaos.harness import table

        sys.stdout.write(f"\n{table(results)}\n\n{results}\n")
    return code


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main(sys.argv[1:]))
