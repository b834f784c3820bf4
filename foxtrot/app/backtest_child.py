"""The service's side of one job's process: starting it, listening to it, ending it by its own number.

Invariants: nothing here blocks the service's loop except starting, and ``end``; a process that was started is reaped;
it has a session of its own, so that signals meant for the service's group do not reach it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import foxtrot
from foxtrot.app.backtest_wire import JobMessage, LineReader
from foxtrot.bus.loop import SocketWaiter

__all__ = ["JobProcess"]

_BOOT = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); import foxtrot; del sys.path[0]; "
    "from foxtrot.app.backtest_worker import main; sys.exit(main())"
)
"""Finds this very package without putting any other folder before the standard library."""

_MOST_FAULT = 16_000


class JobProcess:
    """One running job.

    Args:
        id_: the job's.
        job: its file.
        waiter: the service's poll loop.
        on_message: called with the id and each message.
        on_silence: called with the id once the process has closed its pipe: it has ended, or is about to.

    Raises:
        OSError: the process cannot be started.
    """

    def __init__(
        self,
        id_: str,
        job: Path,
        waiter: SocketWaiter,
        on_message: Callable[[str, JobMessage], object],
        on_silence: Callable[[str], object],
    ) -> None:
        self.id = id_
        self._waiter = waiter
        self._on_message = on_message
        self._on_silence = on_silence
        self._fault = job.with_suffix(".fault")
        tell, tell_end = os.pipe()
        life_end, self._life = os.pipe()
        self._tell = tell
        command = [
            *(sys.executable, "-P", "-c", _BOOT, str(Path(foxtrot.__file__).parents[1])),
            *("--job", str(job), "--fault", str(self._fault)),
            *("--tell", str(tell_end), "--life", str(life_end)),
        ]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter, and no shell
                command,
                stdin=subprocess.DEVNULL,
                pass_fds=(tell_end, life_end),
                start_new_session=True,
            )
        except OSError:
            os.close(tell)
            os.close(self._life)
            raise
        finally:
            os.close(tell_end)
            os.close(life_end)
        self._reader = LineReader(tell)
        waiter.add(tell, self._read)

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def ended(self) -> int | None:
        """The exit code, negative for a signal's number; None while it runs."""
        return self._process.poll()

    def terminate(self) -> None:
        """Ask it to end; it removes half-written files first."""
        self._process.terminate()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def crash(self) -> str:
        """What a process that broke down (a segmentation fault, say) left as its traceback; empty for none."""
        with suppress(OSError):
            text = self._fault.read_text(errors="replace").partition("\nExtension modules:")[0]
            return text[-_MOST_FAULT:].rstrip()
        return ""

    def close(self) -> None:
        """Forget it, once it has ended."""
        self._stop_reading()
        if self._life >= 0:
            os.close(self._life)
            self._life = -1
        with suppress(OSError):
            self._fault.unlink(missing_ok=True)

    def end(self, patience: float) -> None:
        """End it and wait for that: in order within ``patience`` seconds, else at once."""
        self.terminate()
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()
        self.close()

    def drain(self) -> None:
        """Take all that it has said so far."""
        self._reader.dry = False
        while self._tell >= 0 and not (self._reader.ended or self._reader.dry):
            self._take()

    def _read(self) -> None:
        self._take()
        if self._reader.ended:
            self._stop_reading()
            self._on_silence(self.id)

    def _take(self) -> None:
        for message in self._reader.read():
            self._on_message(self.id, message)

    def _stop_reading(self) -> None:
        if self._tell >= 0:
            self._waiter.remove(self._tell)
            self._reader.close()
            self._tell = -1
