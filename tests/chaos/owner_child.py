"""A process that wants to own a database: ``python -m tests.chaos.owner_child DATABASE LOCK_TIMEOUT``.

It waits for a line, opens the database as an OMS does, says ``READY`` and commits a fact every few milliseconds until
its input ends. Where somebody else owns the database it ends as a service does: a message, and the error's exit code.
"""

from __future__ import annotations

import os
import select
import sys

from foxtrot.server.journal import Note
from foxtrot.server.persistence import SqlitePersistence
from foxtrot.server.persistence_lock import DatabaseInUseError
from foxtrot.server.start_check import check_start


def main(path: str, lock_timeout: float) -> int:
    sys.stdout.write("up\n")
    sys.stdout.flush()
    sys.stdin.readline()
    db = SqlitePersistence(path, lock_timeout=lock_timeout)
    try:
        problems = check_start(db)
    except DatabaseInUseError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    if problems:
        sys.stderr.write("\n".join(problems))
        return 1
    sys.stdout.write("READY\n")
    sys.stdout.flush()
    number = 0
    while not select.select([sys.stdin], [], [], 0.005)[0]:
        number += 1
        db.commit([(f"counters/{os.getpid()}", number)], [("owner", Note(f"{os.getpid()}"))])
        sys.stdout.write(f"{db.journal.head.seq}\n")
        sys.stdout.flush()
    db.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2])))
