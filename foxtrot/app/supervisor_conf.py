"""The supervisor's configuration of an installation, as text.

Invariants:

* Pure: the text depends on the settings and on the folders that are handed in. The ``supervisord.conf`` at the top of
  the project is what this module makes of ``configs/paper.toml``.
* Programs stand in order of starting; they are stopped in reverse, one group after the other, the watch last.
* A service that ends on a signal or a crash is started again; one that says that its settings are wrong (exit code 2)
  or that its lock is held (75) is not, and neither is a strategy runner that was told to stop (0).
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from foxtrot.app.installation import BACKTEST, OMS, RECORDER, WATCH, Installation
from foxtrot.core.errors import ConfigError

__all__ = ["CONFIG_VARIABLE", "Places", "conf_path", "pid_path", "render_conf", "socket_path"]

CONFIG_VARIABLE = "FOXTROT_CONFIG"
"""Names the installation's file, to the services and to commands."""

_BAD_CHARACTERS = ("%", '"', "\n", " ;")

_HEAD = """\
; The processes of the installation {name!r} under supervisor: made from {config} by
;   foxtrot up --print-conf {config}
; and started, looked at and ended by  foxtrot up,  foxtrot status,  foxtrot down.  With nothing but supervisor's tools:
;   mkdir -p -m 700 {logs}
;   supervisord -c FILE,  supervisorctl -c FILE status,  supervisorctl -c FILE shutdown
; It needs no rights beyond the user's own. It is steered through a socket that only its owner may open; no port is
; listened on.

[supervisord]
environment = {variable}="{config_path}"
directory = {root}
logfile = {logs_path}/supervisord.log
logfile_maxbytes = 10MB
logfile_backups = 3
pidfile = {pid}
childlogdir = {logs_path}
umask = 077
nocleanup = true

[unix_http_server]
file = {socket}
chmod = 0700

[supervisorctl]
serverurl = unix://{socket}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""

_PROGRAM = """
; {what}
[program:{name}]
command = "{python}" -m services.{role} --config "%(ENV_{variable})s" --name {name}{more}
priority = {priority}
autostart = {autostart}
startsecs = 1
startretries = 5
autorestart = unexpected
exitcodes = {exitcodes}
stopsignal = TERM
stopwaitsecs = {patience}
stopasgroup = true
killasgroup = true
redirect_stderr = true
stdout_logfile = {logs_path}/{name}.log
stdout_logfile_maxbytes = 10MB
stdout_logfile_backups = 5
"""

_WATCH = """
; Told by the supervisor of every start and end: reports crashes, halts trading on a crash loop, ends what has died.
[eventlistener:{name}]
command = "{python}" -m services.watch --config "%(ENV_{variable})s" --name {name}
events = PROCESS_STATE,SUPERVISOR_STATE_CHANGE
buffer_size = 500
priority = 1
startsecs = 1
startretries = 100
autorestart = true
stopsignal = TERM
stopwaitsecs = 5
killasgroup = true
stdout_logfile = NONE
stderr_logfile = {logs_path}/{name}.log
stderr_logfile_maxbytes = 10MB
stderr_logfile_backups = 5
"""

_ON_DEMAND = "Backtests by request; not started with the rest, but by  foxtrot restart {name}"


class Places(NamedTuple):
    """Where things are.

    Attributes:
        root: the folder that holds ``services``.
        python: the interpreter.
        here: the folder of the file that is made; what lies below is named relative to it.
    """

    root: Path
    python: Path
    here: Path


class _Program(NamedTuple):
    name: str
    role: str
    what: str
    priority: int
    patience: int
    exitcodes: str = "2,75"
    autostart: str = "true"
    more: str = ""


def conf_path(installation: Installation) -> Path:
    """Where the file of an installation is put that has none of its own."""
    return installation.run / "supervisord.conf"


def socket_path(installation: Installation) -> Path:
    """The socket that steers the supervisor."""
    return installation.run / "supervisor.sock"


def pid_path(installation: Installation) -> Path:
    """The file that holds the supervisor's process number."""
    return installation.run / "supervisord.pid"


def render_conf(installation: Installation, places: Places) -> str:
    """The supervisor's file for an installation.

    Raises:
        ConfigError: a path has a character that supervisor cannot take.
    """

    def shown(path: Path) -> str:
        text, here = str(path), str(places.here)
        for character in _BAD_CHARACTERS:
            if character in text:
                raise ConfigError(
                    f"{text!r} holds {character!r}, which supervisor cannot take in a path; use another folder"
                )
        if text == here:
            return "%(here)s"
        return f"%(here)s{text.removeprefix(here)}" if text.startswith(here + "/") else text

    words = {
        "variable": CONFIG_VARIABLE,
        "root": shown(places.root),
        "python": shown(places.python),
        "logs_path": shown(installation.run / "logs"),
    }
    head = _HEAD.format(
        **words,
        name=installation.name,
        config=_relative(installation.path, places.here),
        config_path=shown(installation.path),
        logs=_relative(installation.run / "logs", places.here),
        pid=shown(pid_path(installation)),
        socket=shown(socket_path(installation)),
    )
    programs = [_PROGRAM.format(**words, **p._asdict()) for p in _programs(installation)]
    watch = _WATCH.format(**words, name=WATCH)
    return "".join((head, *programs, watch))


def _programs(installation: Installation) -> list[_Program]:
    made = []
    if installation.recorder.enabled:
        made.append(_Program(RECORDER, "recorder", "Keeps all traffic of the bus.", 10, 20))
    made.append(_Program(OMS, "oms", "Orders, fills, positions and accounts, and risk.", 20, 20))
    for adapter in installation.adapters:
        what = f"The connection to the venue {adapter.name}."
        made.append(_Program(adapter.service, "adapter", what, 30, 10))
    for runner in installation.runners:
        names = ", ".join(strategy.name for strategy in runner.strategies)
        what = f"Strategies: {names}. Started again only when it did not mean to end."
        made.append(_Program(runner.name, "strategy", what, 40, 10, "0,2,75"))
    what = _ON_DEMAND.format(name=BACKTEST)
    made.append(_Program(BACKTEST, "backtest", what, 50, 10, "0,2,75", "false", " --serve"))
    return made


def _relative(path: Path, here: Path) -> str:
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
