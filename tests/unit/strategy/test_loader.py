"""A strategy class by its path: module or file, and helpful words where it is not there."""

from __future__ import annotations

import sys

import pytest

from foxtrot.core.errors import ConfigError
from foxtrot.strategy import Strategy
from foxtrot.strategy.loader import load_strategy_class

ONE = """
from foxtrot.strategy import Strategy
class One(Strategy):
    fast: int = 3
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(folder, name, text):
    path = folder / name
    path.write_text(text)
    return str(path)


def test_a_class_of_a_file_with_and_without_its_name(folder) -> None:
    path = write(folder, "one.py", ONE)
    assert load_strategy_class(path).__name__ == "One"
    assert load_strategy_class(path + ":One").fast == 3


def test_a_class_of_a_module(folder) -> None:
    write(folder, "a_module_of_mine.py", ONE)
    assert issubclass(load_strategy_class("a_module_of_mine:One"), Strategy)
    assert load_strategy_class("a_module_of_mine").__name__ == "One"


@pytest.mark.parametrize(
    ("text", "path", "told"),
    [
        (ONE, "{}:Two", "no class 'Two' in"),
        (ONE, "{}:Two", "strategies there: One"),
        (ONE + "Other = int\n", "{}:Other", "not a subclass of foxtrot.strategy.Strategy"),
        (ONE + "class Two(Strategy): ...\n", "{}", "say which class"),
        ("x = 1\n", "{}", "strategies there: none"),
        ("x = 1\n", "{}:X", "strategies there: none"),
        ("import no_such_module_at_all\n", "{}", "cannot be imported"),
        ("1 / 0\n", "{}", "ZeroDivisionError"),
        ("def broken(:\n", "{}", "SyntaxError"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(folder, text, path, told) -> None:
    file = write(folder, "faulty.py", text)
    with pytest.raises(ConfigError) as caught:
        load_strategy_class(path.format(file))
    assert told in str(caught.value)
    if "1 /" in text:
        assert not [name for name in sys.modules if name.startswith("foxtrot_user_faulty")]
        assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("nowhere/at_all.py:One", "there is no file"),
        ("C:\\nowhere\\at_all.py", "there is no file"),
        ("C:\\nowhere\\at_all.py:One", "there is no file"),
        ("no_such_package.module:One", "there is no module 'no_such_package'"),
        ("foxtrot.no_such_module:One", "there is no module 'foxtrot.no_such_module'"),
    ],
)
def test_what_is_not_there_is_told(path, told) -> None:
    with pytest.raises(ConfigError) as caught:
        load_strategy_class(path)
    assert told in str(caught.value)


def test_a_module_that_fails_or_misses_another_is_told(folder) -> None:
    write(folder, "failing_module.py", "1 / 0\n")
    with pytest.raises(ConfigError, match="ZeroDivisionError"):
        load_strategy_class("failing_module:One")
    write(folder, "missing_module.py", "import not_installed_here\n")
    with pytest.raises(ConfigError, match="not_installed_here"):
        load_strategy_class("missing_module:One")


def test_modules_beside_a_file_can_be_imported_by_it(folder) -> None:
    (folder / "mine").mkdir()
    write(folder, "mine/averages_of_mine.py", "LENGTH = 7\n")
    path = write(folder, "mine/uses.py", "from averages_of_mine import LENGTH\n" + ONE)
    first = sys.path[0]
    assert load_strategy_class(path).__name__ == "One"
    assert (sys.path[0], sys.path[-1]) == (first, str(folder / "mine"))


def test_files_of_one_name_in_two_folders_stay_apart(folder) -> None:
    for name in ("a", "b"):
        (folder / name).mkdir()
        write(folder, f"{name}/same.py", f"{ONE}    kind: str = {name!r}\n")
    first = load_strategy_class(str(folder / "a" / "same.py"))
    second = load_strategy_class(str(folder / "b" / "same.py"))
    assert (first.kind, second.kind) == ("a", "b")
    assert sys.modules[first.__module__] is not sys.modules[second.__module__]


def test_each_of_two_files_finds_its_own_helpers_of_one_name(folder) -> None:
    for name in ("c", "d"):
        (folder / name).mkdir()
        write(folder, f"{name}/helpers_of_mine.py", f"WHO = {name!r}\n")
        write(
            folder, f"{name}/one.py", f"from helpers_of_mine import WHO\n{ONE}    who: str = WHO\n"
        )
    found = [load_strategy_class(str(folder / name / "one.py")).who for name in ("c", "d", "c")]
    assert found == ["c", "d", "c"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import sys\n1 / 0\n", "line 2: 1 / 0"),
        ("x = 1\ndef broken(:\n", "line 2: def broken(:"),
        ("import no_such_module_at_all\n", "line 1: import no_such_module_at_all"),
    ],
)
def test_the_line_that_keeps_a_file_from_being_imported_is_told(folder, text, told) -> None:
    with pytest.raises(ConfigError) as caught:
        load_strategy_class(write(folder, "faulty_line.py", text))
    assert told in str(caught.value)
