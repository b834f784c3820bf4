"""Finds a strategy class by path: ``package.module:Class`` or ``path/to/file.py:Class``."""

from __future__ import annotations

import importlib
import importlib.util
import sys
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
        raise ConfigError(f"strategy {path!r} cannot be imported: {error}") from error
    except Exception as error:
        raise ConfigError(f"strategy {path!r} cannot be imported: {error!r}") from error


def _load_file(file: Path, path: str) -> ModuleType:
    if not file.is_file():
        raise ConfigError(f"strategy {path!r}: there is no file {file}")
    name = f"foxtrot_user_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ConfigError(f"strategy {path!r}: {file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ConfigError(f"strategy {path!r} cannot be imported: {error!r}") from error
    return module


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
