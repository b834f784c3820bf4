"""The log: it tells what happened, and whatever happens to it, the service goes on."""

from __future__ import annotations

import io
import json
import logging
import multiprocessing
import os
import pty
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from foxtrot.core import log
from foxtrot.core.config import Secret
from foxtrot.core.errors import ConfigError
from foxtrot.core.log import QueueLogHandler, configure_logging, format_json, format_text

LOGGER = logging.getLogger("foxtrot.test")


@pytest.fixture(autouse=True)
def _shut_down() -> Iterator[None]:
    yield
    log.shutdown()


def lines_of(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def lines_in(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def wait_until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "condition not met in time"
        time.sleep(0.002)


class Gate:
    """A sink that lets nothing through until it is opened."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.reached = threading.Event()
        self.text = ""

    def write(self, text: str) -> None:
        self.reached.set()
        self.open.wait(10)
        self.text += text

    def close(self) -> None:
        self.open.set()


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no words")


class TestLines:
    def test_a_line_holds_time_level_logger_message_and_fields(self) -> None:
        stream = io.StringIO()
        handler = configure_logging(target=stream)

        LOGGER.info("sent %s", "a1", extra={"volume": 2.5, "legs": ["x", "y"], "level": 7})
        handler.flush()

        [line] = lines_of(stream)
        assert line.pop("ts").endswith("Z")
        assert line == {
            "level": "INFO",
            "logger": "foxtrot.test",
            "msg": "sent a1",
            "volume": 2.5,
            "legs": ["x", "y"],
            "extra.level": 7,
        }

    def test_levels_below_the_chosen_one_are_left_out(self) -> None:
        stream = io.StringIO()
        handler = configure_logging("warning", target=stream)

        LOGGER.info("quiet")
        LOGGER.warning("loud")
        handler.flush()

        assert [line["msg"] for line in lines_of(stream)] == ["loud"]

    def test_an_exception_is_told_with_its_traceback(self) -> None:
        stream = io.StringIO()
        handler = configure_logging(target=stream)

        try:
            raise KeyError("gone")
        except KeyError:
            LOGGER.exception("failed", stack_info=True)
        handler.flush()

        [line] = lines_of(stream)
        assert line["exc"].startswith("Traceback")
        assert "KeyError: 'gone'" in line["exc"]
        assert "Stack (most recent call last)" in line["exc"]

    def test_fields_are_written_as_they_were_when_logged(self) -> None:
        gate = Gate()
        handler = QueueLogHandler(gate, format_json, 10, Path("unused"))
        legs = ["a"]
        record = logging.makeLogRecord(
            {"msg": "m", "legs": legs, "far": 1 << 80, "odd": {None: 1, (1j): 2}}
        )

        handler.handle(record)
        legs.append("b")
        gate.open.set()
        handler.close()

        line = json.loads(gate.text)
        assert line["legs"] == ["a"]
        assert str(line["far"]) == str(1 << 80)
        assert line["odd"] == {"None": 1, "1j": 2}

    def test_surrogates_from_file_names_do_not_lose_the_line(self) -> None:
        stream = io.StringIO()
        handler = configure_logging(target=stream)
        record = logging.makeLogRecord({"msg": "bad \udcff name", "path": "x\udcff"})

        handler.handle(record)
        handler.flush()

        assert lines_of(stream)[0]["msg"] == "bad \\udcff name"
        assert handler.failed == 0

    def test_text_for_people_escapes_what_would_steer_a_terminal(self) -> None:
        line = log.LogLine(0.0, 30, "oms", "a\x1b[2Jb\nc", {"x": 1}, "Trace")

        text = format_text(line)

        assert text[8] == "."
        assert text[12:] == " WARNING  oms: a\\x1b[2Jb\n    c x=1\n    Trace"

    def test_colour_marks_the_level(self) -> None:
        line = log.LogLine(0.0, 40, "oms", "m", {}, "")

        assert "\033[31mERROR   \033[0m" in format_text(line, colour=True)


class TestSecrets:
    def test_no_line_holds_a_secret_even_where_it_was_revealed(self) -> None:
        stream = io.StringIO()
        handler = configure_logging(target=stream)
        secret = Secret('hunter/"two"')

        LOGGER.info("login %s", secret, extra={"key": secret, "nested": {"key": secret}})
        LOGGER.info("url %s", secret.reveal(), extra={"key": secret.reveal()})
        try:
            int(secret.reveal())
        except ValueError:
            LOGGER.exception("failed")
        handler.flush()

        assert "hunter" not in stream.getvalue()
        first, second, third = lines_of(stream)
        assert first["msg"] == "login ***"
        assert first["nested"] == {"key": "***"}
        assert second["key"] == "***"
        assert "literal for int() with base 10: '***'" in third["exc"]


class TestStyles:
    def test_a_terminal_gets_readable_text_and_a_pipe_gets_json(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("NO_COLOR", raising=False)
        monkeypatch.setenv("TERM", "xterm")
        master, slave = pty.openpty()
        with os.fdopen(slave, "w") as terminal:
            handler = configure_logging(target=terminal)
            LOGGER.info("hello")
            handler.flush()
        shown = os.read(master, 1000).decode()
        log.shutdown()
        os.close(master)

        assert "\033[32mINFO" in shown
        assert "foxtrot.test: hello" in shown

    def test_an_unknown_style_or_level_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="log style 'xml' is not known; use one of: auto"):
            configure_logging(style="xml")
        with pytest.raises(ConfigError, match=r"'WARNNG' is not known \(did you mean 'WARNING'"):
            configure_logging("WARNNG")

    def test_text_can_be_asked_for(self) -> None:
        stream = io.StringIO()
        handler = configure_logging(logging.DEBUG, target=stream, style="text")

        LOGGER.debug("plain", extra={"venue": "SIM"})
        handler.flush()

        assert stream.getvalue().endswith("DEBUG    foxtrot.test: plain venue=SIM\n")


class TestNeverBlocking:
    def test_a_full_queue_drops_lines_and_says_how_many(self) -> None:
        gate = Gate()
        handler = QueueLogHandler(gate, format_json, 3, Path("unused"))
        record = logging.makeLogRecord({"msg": "m", "levelno": 20, "name": "n"})
        handler.handle(record)
        assert gate.reached.wait(5)

        for _ in range(10):
            handler.handle(record)
        assert handler.dropped == 7
        gate.open.set()
        handler.close()

        written = [json.loads(line)["msg"] for line in gate.text.splitlines()]
        assert written == ["m"] * 4 + ["7 lines lost: the log could not keep up"]

    def test_closing_over_a_hanging_sink_gives_up_in_time(self) -> None:
        gate = Gate()
        handler = QueueLogHandler(gate, format_json, 3, Path("unused"))
        handler.handle(logging.makeLogRecord({"msg": "m"}))
        assert gate.reached.wait(5)

        began = time.monotonic()
        handler.flush(timeout=0.05)
        handler.close(timeout=0.05)

        assert time.monotonic() - began < 2
        gate.open.set()
        wait_until(lambda: not handler._thread.is_alive())

    def test_a_pipe_that_nobody_reads_fills_up_without_harm(self) -> None:
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        with os.fdopen(writer, "w") as stream, os.fdopen(reader, "rb") as source:
            handler = configure_logging(target=stream, capacity=100_000)
            for _ in range(2_000):
                LOGGER.info("x" * 100)
            received = b""
            while received.count(b"\n") < 2_000:
                received += source.read1(65_536)
            handler.flush()

        assert handler.dropped == 0
        assert all(json.loads(line) for line in received.splitlines())


class TestNeverRaising:
    def test_records_that_cannot_be_formatted_are_counted_and_told(self) -> None:
        stream = io.StringIO()
        handler = configure_logging(target=stream)

        for bad in (
            {"msg": "%d", "args": ("not a number",)},
            {"msg": "%s", "args": (Unprintable(),)},
            {"msg": "field", "field": Unprintable()},
        ):
            handler.handle(logging.makeLogRecord(bad))
        handler.flush()

        assert handler.failed == 3
        [line] = lines_of(stream)
        assert line["level"] == "ERROR"
        assert line["msg"] == "3 records lost: could not be formatted"

    def test_a_formatter_that_raises_is_counted(self) -> None:
        gate = Gate()
        gate.open.set()
        handler = QueueLogHandler(gate, lambda line: f"{1 / 0}", 3, Path("unused"))

        handler.handle(logging.makeLogRecord({"msg": "m"}))
        handler.flush()
        handler.close()

        assert handler.failed >= 1

    def test_a_closed_pipe_is_replaced_by_the_fallback_file(self, tmp_path: Path) -> None:
        reader, writer = os.pipe()
        with os.fdopen(writer, "w") as stream:
            handler = configure_logging(target=stream, fallback=tmp_path / "deep" / "fallback.log")
            os.close(reader)
            LOGGER.info("first")
            LOGGER.info("second")
            handler.flush()

        why, first, second = lines_in(tmp_path / "deep" / "fallback.log")
        assert "its sink failed: [Errno 32] Broken pipe" in why["msg"]
        assert (first["msg"], second["msg"]) == ("first", "second")
        assert (tmp_path / "deep" / "fallback.log").stat().st_mode & 0o077 == 0

    def test_a_fallback_that_fails_too_costs_lines_only(self, tmp_path: Path) -> None:
        victim = tmp_path / "victim"
        victim.write_text("precious")
        link = tmp_path / "link.log"
        link.symlink_to(victim)
        reader, writer = os.pipe()
        with os.fdopen(writer, "w") as stream:
            handler = configure_logging(target=stream, fallback=link)
            os.close(reader)
            LOGGER.info("lost")
            handler.flush()

        assert handler.dropped >= 1
        assert victim.read_text() == "precious"

    @pytest.mark.parametrize("gone", ["None", "closed"])
    def test_a_process_without_standard_error_logs_to_the_fallback(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: str
    ) -> None:
        stream = None if gone == "None" else io.TextIOWrapper(io.BytesIO())
        if stream is not None:
            stream.close()
        monkeypatch.setattr(sys, "stderr", stream)

        handler = configure_logging(fallback=tmp_path / "fallback.log")
        LOGGER.info("here")
        handler.flush()

        assert [line["msg"] for line in lines_in(tmp_path / "fallback.log")] == ["here"]

    def test_closing_the_stream_never_sends_lines_into_another_file(self, tmp_path: Path) -> None:
        with (tmp_path / "log").open("w") as stream:
            handler = configure_logging(target=stream)
            number = stream.fileno()
        with (tmp_path / "database").open("w") as database:
            assert database.fileno() == number
            LOGGER.info("line")
            handler.flush()

        assert (tmp_path / "database").read_text() == ""
        assert lines_in(tmp_path / "log")[0]["msg"] == "line"

    def test_a_file_that_cannot_be_opened_is_refused_at_once(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="cannot be opened"):
            configure_logging(target=tmp_path)


class TestLife:
    def test_a_file_is_appended_to(self, tmp_path: Path) -> None:
        for word in ("one", "two"):
            configure_logging(target=tmp_path / "run" / "oms.log")
            LOGGER.info(word)
        log.shutdown()

        assert [line["msg"] for line in lines_in(tmp_path / "run" / "oms.log")] == ["one", "two"]

    def test_shutdown_writes_what_waits_ends_the_thread_and_restores_the_logger(self) -> None:
        owner = logging.getLogger("foxtrot.owned")
        before = (list(owner.handlers), owner.level, threading.active_count())
        stream = io.StringIO()

        configure_logging("DEBUG", target=stream, logger="foxtrot.owned")
        for number in range(500):
            owner.info("%d", number)
        log.shutdown()
        log.shutdown()

        assert [line["msg"] for line in lines_of(stream)] == [str(n) for n in range(500)]
        assert (list(owner.handlers), owner.level, threading.active_count()) == before

    def test_a_closed_handler_counts_what_still_comes(self) -> None:
        handler = configure_logging(target=io.StringIO())
        handler.close()

        handler.handle(logging.makeLogRecord({"msg": "late"}))
        handler.flush()

        assert handler.dropped == 1

    def test_a_filter_is_heeded(self) -> None:
        stream = io.StringIO()
        handler = configure_logging(target=stream)
        handler.addFilter(lambda record: "keep" in record.getMessage())

        LOGGER.info("keep")
        LOGGER.info("leave")
        handler.flush()

        assert [line["msg"] for line in lines_of(stream)] == ["keep"]

    def test_several_threads_lose_nothing(self) -> None:
        stream = io.StringIO()
        configure_logging(target=stream)
        threads = [
            threading.Thread(target=lambda: [LOGGER.info("x") for _ in range(200)])
            for _ in range(4)
        ]

        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        log.shutdown()

        assert len(lines_of(stream)) == 800

    def test_what_was_logged_last_is_written_when_the_interpreter_exits(self) -> None:
        code = (
            "import logging; from foxtrot.core.log import configure_logging; configure_logging();"
            "[logging.info('%d', n) for n in range(300)]"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
        )

        assert len(done.stderr.splitlines()) == 300

    def test_a_reader_that_leaves_does_not_change_the_exit_code(self, tmp_path: Path) -> None:
        code = (
            "import logging, pathlib, sys; from foxtrot.core.log import configure_logging;"
            "configure_logging(fallback=pathlib.Path(sys.argv[1]));"
            "sys.stdin.read(); [logging.info('%d', n) for n in range(300)]"
        )
        command = [sys.executable, "-c", code, str(tmp_path / "fallback.log")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stderr is not None
            process.stderr.close()
            process.stdin.close()
            assert process.wait(30) == 0

        assert len(lines_in(tmp_path / "fallback.log")) == 301

    def test_a_forked_child_logs_with_a_thread_of_its_own(self, tmp_path: Path) -> None:
        handler = configure_logging(target=tmp_path / "log")
        LOGGER.info("parent")
        handler.flush()
        child = multiprocessing.get_context("fork").Process(target=_log_and_end)

        child.start()
        child.join(10)
        code = child.exitcode
        child.close()

        assert code == 0
        assert [line["msg"] for line in lines_in(tmp_path / "log")] == ["parent", "child"]


def _log_and_end() -> None:
    LOGGER.info("child")
    log.shutdown()
