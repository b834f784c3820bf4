"""The check for leaks is itself checked: it finds what it is there to find."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

LEAKS = """
import socket, subprocess, threading, sys
kept = []

def test_thread():
    kept.append(threading.Timer(20, print)); kept[-1].daemon = True; kept[-1].start()

def test_process():
    kept.append(subprocess.Popen(["sleep", "20"]))

def test_socket():
    kept.append(socket.socket())

def test_file(tmp_path):
    kept.append((tmp_path / "x").open("w"))

def test_nothing(tmp_path):
    (tmp_path / "x").write_text("")
    threading.Timer(0.05, int).start()

def test_end():
    kept[0].cancel(); kept[0].join()
    kept[1].kill(); kept[1].wait()
    kept[2].close(); kept[3].close()
"""


@pytest.mark.skipif("sys.platform != 'linux'", reason="descriptors are read from /proc")
def test_what_a_test_leaves_behind_fails_it(
    pytester: pytest.Pytester, pytestconfig: pytest.Config
) -> None:
    source = pytestconfig.rootpath / "tests" / "conftest.py"
    pytester.makeconftest(source.read_text().replace("_PATIENCE = 2.0", "_PATIENCE = 0.2"))
    pytester.makepyfile(LEAKS)

    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")

    result.assert_outcomes(passed=6, errors=4)
    result.stdout.fnmatch_lines(
        [
            "*the test left behind: thread *",
            "*the test left behind: child process *",
            "*the test left behind: descriptor *: socket:*",
            "*the test left behind: descriptor *: */x",
        ]
    )
