"""Parameters of a strategy: found, checked, copied; the nearest name where one is wrong."""

from __future__ import annotations

from typing import ClassVar, Literal

import pytest

from foxtrot.core.errors import ConfigError
from foxtrot.strategy import Strategy
from foxtrot.strategy.parameters import check_setting, parameters_of
from tests.unit.strategy.strategy_helpers import bars, run, the, walk


class Base(Strategy):
    author: ClassVar[str] = "me"
    fast: int = 10
    rate: float = 0.5


class Derived(Base):
    fast: int = 20
    kind: Literal["a", "b"] = "a"
    names: list[str] = []  # noqa: RUF012 - as users write it
    _hidden: int = 1
    later: int
    plain = 5


def test_annotated_attributes_with_a_default_are_parameters() -> None:
    assert parameters_of(Derived) == {"fast": 20, "rate": 0.5, "kind": "a", "names": []}
    assert parameters_of(Strategy) == {}


def test_settings_are_put_over_the_defaults() -> None:
    assert check_setting(Derived, {"rate": 2, "kind": "b"}) == {
        "fast": 20,
        "rate": 2.0,
        "kind": "b",
        "names": [],
    }


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ({"fats": 1}, "has no parameter 'fats'; did you mean 'fast'?"),
        ({"zzz": 1}, "it has: fast, kind, names, rate"),
        ({"fast": "x"}, "'fast' must be int, got 'x'"),
        ({"fast": 1.5}, "'fast' must be int"),
        ({"fast": True}, "'fast' must be int"),
        ({"kind": "c"}, "'kind'"),
        ({"_hidden": 2}, "no parameter"),
        ({"author": "x"}, "no parameter 'author'"),
    ],
)
def test_a_wrong_setting_says_what_is_wrong(setting, text) -> None:
    with pytest.raises(ConfigError) as caught:
        check_setting(Derived, setting)
    assert text in str(caught.value)


def test_runs_do_not_share_a_mutable_default() -> None:
    class Collects(Strategy):
        seen: list[int] = []  # noqa: RUF012 - as users write it

        def on_bar(self, bar) -> None:
            self.seen.append(1)

    assert [len(the(run(Collects, bars(walk(4)))).seen) for _ in range(2)] == [4, 4]
    assert Collects.seen == []


@pytest.mark.parametrize("name", ["position", "buy", "name", "vt_symbol", "on_bar"])
def test_a_parameter_that_hides_a_name_of_the_strategy_is_refused(name) -> None:
    hiding = type("Hiding", (Strategy,), {"__annotations__": {name: int}, name: 1})
    with pytest.raises(ConfigError, match=f"parameter '{name}' would hide"):
        run(hiding, bars(walk(4)))


def test_an_annotation_that_cannot_be_resolved_is_explained() -> None:
    broken = type("Broken", (Strategy,), {"__annotations__": {"sma": "Nowhere"}, "sma": None})
    with pytest.raises(ConfigError, match="annotation of an attribute cannot be resolved"):
        run(broken, bars(walk(4)))
