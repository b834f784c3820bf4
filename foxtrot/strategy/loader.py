"""Finds a strategy class by path: ``package.module:Class`` or ``path/to/file.py:Class``.

Invariants: a file is imported under a name of its own, so files of one name in several folders stay apart. As for a
script that Python runs, modules beside the file can be imported by it; its folder stays at the end of ``sys.path``.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from foxtrot.core.errors import ConfigError
from foxtrot.strategy.strategy import Strategy


def load_strategy_class(path: str) -> type[Strategy]:
    """Import the module and take its class; without ``:Class`` the module's only strategy.

    Raises:
        ConfigError: no such file, module or class, or it is not a ``Strategy``; what the module raised while it was
            imported is chained.
    """
    location, colon, class_name = path.rpartition(":")
    if not colon or path.endswith(".py"):  # the colon of a drive
        location, class_name = path, ""
    module = _load_module(location, path)
    if not class_name:
        return _only_strategy(module, path)
    found = getattr(module, class_name, None)
    if found is None:
        known = ", ".join(c.__name__ for c in _strategies(module)) or "none"
        raise ConfigError(
            f"{path}: no class {class_name!r} in {location}; strategies there: {known}"
        )
    if not (isinstance(found, type) and issubclass(found, Strategy)):
        raise ConfigError(f"{path}: {class_name} is not a subclass of foxtrot.strategy.Strategy")
    return found


def _load_module(location: str, path: str) -> ModuleType:
    if location.endswith(".py"):
        return _load_file(Path(location).resolve(), path)
    try:
        return importlib.import_module(location)
    except ModuleNotFoundError as error:
        if error.name is not None and (
            location == error.name or location.startswith(error.name + ".")
        ):
            raise ConfigError(
                f"strategy {path!r}: there is no module {error.name!r}; write package.module:Class or file.py:Class"
            ) from error
        raise _faulty(path, error) from error
    except Exception as error:
        raise _faulty(path, error) from error


def _load_file(file: Path, path: str) -> ModuleType:
    if not file.is_file():
        raise ConfigError(f"strategy {path!r}: there is no file {file}")
    name = f"foxtrot_user_{file.stem}_{zlib.crc32(str(file).encode()):08x}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ConfigError(f"strategy {path!r}: {file} is not a Python file")
    _forget_twins(file.parent)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with _neighbours(file.parent):
            spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise _faulty(path, error) from error
    return module


def _forget_twins(folder: Path) -> None:
    """Let names of modules in ``folder`` be looked up anew where they stand for another strategy's helpers.

    Who imported those keeps them.
    """
    names = {file.stem for file in folder.glob("*.py")}
    names |= {file.parent.name for file in folder.glob("*/__init__.py")}
    for name in [name for name in sys.modules if name.partition(".")[0] in names]:
        file = Path(getattr(sys.modules[name], "__file__", None) or "/")
        if not file.is_relative_to(folder) and any(file.is_relative_to(f) for f in _FOLDERS):
            del sys.modules[name]


@contextmanager
def _neighbours(folder: Path) -> Iterator[None]:
    """Let modules in ``folder`` be imported: before all others in the block, after all others from then on."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        if folder not in _FOLDERS:
            _FOLDERS.add(folder)
            sys.path.append(str(folder))


_FOLDERS: set[Path] = set()
"""Folders of strategy files, which this module has put on ``sys.path``."""


def _faulty(path: str, error: Exception) -> ConfigError:
    """What importing a strategy raised, and on which line."""
    told = f"{type(error).__name__}: {error}"
    if isinstance(error, SyntaxError):
        told = f"{type(error).__name__}: {error.msg}"
        place, line, text = error.filename, error.lineno, error.text
    else:
        frames = traceback.extract_tb(error.__traceback__)
        theirs = [f for f in frames if not f.filename.startswith("<") and f.filename != __file__]
        last = theirs[-1] if theirs else frames[-1]
        place, line, text = last.filename, last.lineno, last.line
    return ConfigError(
        f"strategy {path!r} cannot be imported: {told}\n  {place}, line {line}: {(text or '').strip()}"
    )


def _strategies(module: ModuleType) -> list[type[Strategy]]:
    """Strategy classes that the module itself defines."""
    return [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Strategy)
        and value is not Strategy
        and value.__module__ == module.__name__
    ]


def _only_strategy(module: ModuleType, path: str) -> type[Strategy]:
    found = _strategies(module)
    if len(found) != 1:
        names = ", ".join(c.__name__ for c in found) or "none"
        raise ConfigError(f"{path}: say which class, as {path}:Class; strategies there: {names}")
    return found[0]
