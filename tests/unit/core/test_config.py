"""Settings: what fits is read, what does not is refused with the place and the way to mend it."""

from __future__ import annotations

import copy
import dataclasses
import datetime as dt
import pickle
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foxtrot.core.config import (
    Secret,
    apply_overrides,
    build_config,
    load_config,
    nearest,
    resolve_path,
)
from foxtrot.core.constants import Interval
from foxtrot.core.errors import ConfigError
from foxtrot.core.secret import redact
from foxtrot.core.toml_keys import join_key, split_key


class Leg(msgspec.Struct, frozen=True):
    vt_symbol: str
    ratio: float = 1.0


class Limit(msgspec.Struct, frozen=True, tag_field="kind", tag="limit"):
    price: float


class Market(msgspec.Struct, frozen=True, tag_field="kind", tag="market"):
    slippage: float = 0.0


@dataclasses.dataclass(frozen=True)
class Venue:
    name: str
    key: Secret | None = None
    retries: int = 3


class Settings(msgspec.Struct, frozen=True):
    name: str
    fast: Annotated[int, msgspec.Meta(ge=1)] = 10
    rate: float = 0.0
    interval: Interval = Interval.DAILY
    fill: Literal["next_open", "same_close"] = "next_open"
    data: Path | None = None
    start: dt.date | None = None
    venue: Venue | None = None
    legs: list[Leg] = []
    symbols: dict[str, Leg] = {}
    entry: Limit | Market = Market()
    pair: tuple[int, str] = (1, "a")
    extra: dict[str, Any] = {}


def load(tmp_path: Path, text: str, *overrides: str, env: dict[str, str] | None = None) -> Settings:
    path = tmp_path / "settings.toml"
    path.write_text(text)
    return load_config(path, Settings, overrides, env={} if env is None else env)


def refusal(tmp_path: Path, text: str, *overrides: str, env: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, *overrides, env=env)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(f"{tmp_path}/", "")


WHOLE = """\
name = "demo"
fast = 20
rate = 1
interval = "1h"
data = "bars/aapl.csv"
start = 2020-01-31
pair = [2, "b"]

[venue]
name = "PAPER"
key = "${VENUE_KEY}"

[[legs]]
vt_symbol = "AAPL.NASDAQ"

[[legs]]
vt_symbol = "IBM.NYSE"
ratio = -2.5

[symbols."AAPL.NASDAQ"]
vt_symbol = "AAPL.NASDAQ"

[entry]
kind = "limit"
price = 1.5

[extra]
anything = { deep = [1, "two"] }
"""


class TestReading:
    def test_a_file_that_fits_becomes_its_type(self, tmp_path: Path) -> None:
        settings = load(tmp_path, WHOLE, env={"VENUE_KEY": "k3y-of-venue"})

        assert settings == Settings(
            name="demo",
            fast=20,
            rate=1.0,
            interval=Interval.HOUR,
            data=tmp_path / "bars/aapl.csv",
            start=dt.date(2020, 1, 31),
            venue=Venue("PAPER", Secret("k3y-of-venue")),
            legs=[Leg("AAPL.NASDAQ"), Leg("IBM.NYSE", -2.5)],
            symbols={"AAPL.NASDAQ": Leg("AAPL.NASDAQ")},
            entry=Limit(1.5),
            pair=(2, "b"),
            extra={"anything": {"deep": [1, "two"]}},
        )
        assert type(settings.rate) is float

    def test_what_is_not_given_keeps_its_default(self, tmp_path: Path) -> None:
        assert load(tmp_path, 'name = "x"') == Settings("x")

    def test_a_dataclass_serves_as_the_whole_type(self, tmp_path: Path) -> None:
        path = tmp_path / "venue.toml"
        path.write_text('name = "PAPER"')

        assert load_config(path, Venue) == Venue("PAPER")

    def test_a_mapping_is_checked_as_a_file_is(self) -> None:
        assert build_config({"name": "x", "fast": 3}, Settings) == Settings("x", fast=3)
        with pytest.raises(
            ConfigError, match=r"^settings: fsat: unknown key \(did you mean 'fast'\?\)"
        ):
            build_config({"name": "x", "fsat": 3}, Settings)

    def test_paths_are_relative_to_the_file_and_absolute_ones_stay(self, tmp_path: Path) -> None:
        assert load(tmp_path, 'name = "x"\ndata = "../d"').data == tmp_path / "../d"
        assert load(tmp_path, 'name = "x"\ndata = "/d"').data == Path("/d")
        assert resolve_path("~/d", tmp_path) == Path.home() / "d"

    def test_a_type_that_is_no_table_is_the_callers_mistake(self) -> None:
        with pytest.raises(TypeError, match=r"neither a msgspec.Struct nor a dataclass"):
            build_config({}, int)


class TestRefusing:
    @pytest.mark.parametrize(
        ("text", "told"),
        [
            (
                "fsat = 3",
                "settings.toml:2: fsat: unknown key (did you mean 'fast'?); known keys: name, fast",
            ),
            ("zzzzzz = 3", "settings.toml:2: zzzzzz: unknown key; known keys: name, fast"),
            ('fast = "3"', "settings.toml:2: fast: expected int, found '3'"),
            ("fast = true", "settings.toml:2: fast: expected int, found True"),
            ("fast = 0", "settings.toml:2: fast: expected int >= 1, found 0"),
            ("data = 5", "settings.toml:2: data: expected text, found a value of type integer"),
            (
                'interval = "1D"',
                "settings.toml:2: interval: '1D' is not known (did you mean '1d'?); use one of: tick",
            ),
            (
                'fill = "next-open"',
                "settings.toml:2: fill: 'next-open' is not known (did you mean 'next_open'?);",
            ),
            ("venue = 1", "settings.toml:2: venue: expected table, found 1"),
            ("pair = [2, 3]", "settings.toml:2: pair[1]: expected str, found 3"),
            ("pair = [2]", "settings.toml:2: pair: expected array of length 2, found [2]"),
            ("\n[venue]\nretries = 1", "settings.toml:3: venue.name: missing; it has no default"),
            (
                '\n[venue]\nname = "P"\nretry = 1',
                "settings.toml:5: venue.retry: unknown key (did you mean 'retries'?);",
            ),
            (
                '[[legs]]\nvt_symbol = "A.B"\n[[legs]]\nvt_symbol = "A.B"\nratio = "1"',
                "settings.toml:6: legs[1].ratio: expected float, found '1'",
            ),
            (
                '[symbols."A.B"]\nvt_symbol = 1',
                'settings.toml:3: symbols."A.B".vt_symbol: expected str, found 1',
            ),
            ('entry = {kind = "limit"}', "settings.toml:2: entry.price: missing"),
            (
                'entry = {kind = "limt", price = 1.0}',
                "settings.toml:2: entry: Invalid value 'limt'",
            ),
        ],
    )
    def test_what_does_not_fit_is_named_with_line_and_key(
        self, tmp_path: Path, text: str, told: str
    ) -> None:
        assert refusal(tmp_path, f'name = "x"\n{text}').startswith(told)

    def test_a_missing_key_at_the_top_names_the_file(self, tmp_path: Path) -> None:
        assert refusal(tmp_path, "") == "settings.toml: name: missing; it has no default"

    def test_a_file_that_is_no_toml_names_line_and_column(self, tmp_path: Path) -> None:
        assert "at line 2, column" in refusal(tmp_path, 'name = "x"\nfast = =')

    def test_a_missing_file_says_where_it_was_looked_for(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"absent.toml: no such file \(looked in /"):
            load_config(tmp_path / "absent.toml", Settings)

    def test_a_file_that_is_no_text_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "binary.toml"
        path.write_bytes(b"\xff\xfe")

        with pytest.raises(ConfigError, match="cannot be read"):
            load_config(path, Settings)

    def test_a_type_that_settings_cannot_hold_is_named(self) -> None:
        class Odd(msgspec.Struct):
            ratio: complex

        with pytest.raises(ConfigError, match="ratio: settings cannot hold a complex"):
            build_config({"ratio": "1"}, Odd)

    def test_many_known_keys_are_cut_short(self) -> None:
        many = msgspec.defstruct("Many", [(f"key_{n}", int, 0) for n in range(25)])

        with pytest.raises(ConfigError, match=r"key_19 and 5 more$"):
            build_config({"other": 1}, many)


class TestSecrets:
    VENUE = 'name = "x"\n[venue]\nname = "P"\nkey = '

    @pytest.mark.parametrize("form", ["${VENUE_KEY}", "env:VENUE_KEY"])
    def test_a_secret_comes_from_the_environment(self, tmp_path: Path, form: str) -> None:
        settings = load(tmp_path, f'{self.VENUE}"{form}"', env={"VENUE_KEY": "topsecret-1"})

        assert settings.venue is not None
        assert settings.venue.key is not None
        assert settings.venue.key.reveal() == "topsecret-1"

    @pytest.mark.parametrize("env", [{}, {"VENUE_KEY": ""}])
    def test_an_unset_variable_is_named_with_its_key(
        self, tmp_path: Path, env: dict[str, str]
    ) -> None:
        assert refusal(tmp_path, f'{self.VENUE}"${{VENUE_KEY}}"', env=env) == (
            "settings.toml:4: venue.key: the environment variable VENUE_KEY is not set; "
            "export it and try again"
        )

    def test_other_fields_never_look_at_the_environment(self, tmp_path: Path) -> None:
        assert load(tmp_path, 'name = "${HOME}"', env={"HOME": "/root"}).name == "${HOME}"

    def test_a_wrong_value_for_a_secret_is_not_shown(self, tmp_path: Path) -> None:
        told = refusal(tmp_path, f"{self.VENUE}12345678")

        assert told.endswith("venue.key: expected text, found a value of type integer")

    def test_a_secret_shows_itself_nowhere(self) -> None:
        secret = Secret("hunter2-hunter2")

        shown = f"{secret} {secret!r} {secret!s} {secret:>5} {[secret]} {Venue('P', secret)}"

        assert "hunter2" not in shown
        assert f"{secret:>5}" == "  ***"
        with pytest.raises(TypeError, match="Encoding objects of type Secret is unsupported"):
            msgspec.json.encode(secret)
        with pytest.raises(TypeError, match="never pickled"):
            pickle.dumps(secret)
        with pytest.raises(TypeError, match="never pickled"):
            copy.deepcopy(secret)

    def test_secrets_compare_by_content(self) -> None:
        assert Secret("same-text") == Secret("same-text")
        assert len({Secret("same-text"), Secret("same-text"), Secret("other")}) == 2
        assert Secret("same-text") != "same-text"
        assert not Secret("")

    def test_redact_finds_a_revealed_secret_in_text_json_and_url(self) -> None:
        secret = Secret('a/b+c="d e')

        for text in (
            f"key {secret.reveal()}",
            msgspec.json.encode({"key": secret.reveal()}).decode(),
            "?key=a%2Fb%2Bc%3D%22d%20e",
            "?key=a%2Fb%2Bc%3D%22d+e",
        ):
            assert "***" in redact(text)
            assert "d" not in redact(text)

    def test_short_secrets_do_not_blot_out_ordinary_words(self) -> None:
        Secret("buy")

        assert redact("buy AAPL") == "buy AAPL"


class TestOverrides:
    @pytest.mark.parametrize(
        ("override", "value"),
        [
            ("a.b=20", 20),
            ("a.b=2.5", 2.5),
            ("a.b=true", True),
            ('a.b="20"', "20"),
            ("a.b=[1, 2]", [1, 2]),
            ("a.b={c = 1}", {"c": 1}),
            ("a.b=2020-01-31", dt.date(2020, 1, 31)),
            ("a.b=sma", "sma"),
            ("a.b = x = y ", "x = y"),
            ("a.b=", ""),
            ("a.b=1\nc=2", "1\nc=2"),
        ],
    )
    def test_values_are_toml_or_else_text(self, override: str, value: object) -> None:
        assert apply_overrides({}, [override]) == {"a": {"b": value}}

    def test_the_later_wins_and_the_original_stays(self) -> None:
        values = {"a": {"b": 1, "c": 2}, "list": [{"d": 1}]}
        before = copy.deepcopy(values)

        result = apply_overrides(values, ["a.b=2", "a.b=3", "list.0.d=4", 'x."y.z"=5'])

        assert result == {"a": {"b": 3, "c": 2}, "list": [{"d": 4}], "x": {"y.z": 5}}
        assert values == before

    @pytest.mark.parametrize(
        ("override", "told"),
        [
            ("a.b", "--set a.b: expected key=value with a dotted key"),
            ("=1", "--set =1: expected key=value"),
            ("a b=1", "--set a b=1: expected key=value"),
            ("a\nb=1", "expected key=value"),
            ("n.b=1", "--set n.b=1: n is the value 5, not a table that could hold 'b'"),
            ("l.7=1", "--set l.7=1: l is a list of 1; '7' is no position in it"),
            ("l.x=1", "--set l.x=1: l is a list of 1; 'x' is no position in it"),
        ],
    )
    def test_what_cannot_be_set_is_refused(self, override: str, told: str) -> None:
        with pytest.raises(ConfigError) as caught:
            apply_overrides({"n": 5, "l": [1]}, [override])
        assert told in str(caught.value)

    def test_an_override_is_named_as_the_place_of_its_error(self, tmp_path: Path) -> None:
        text = 'name = "x"\nfast = 3'

        assert load(tmp_path, text, "fast=4").fast == 4
        assert refusal(tmp_path, text, "fast=x") == "--set fast=x: fast: expected int, found 'x'"
        assert refusal(tmp_path, text, "venue={name = 1}").startswith("--set venue={name = 1}: ve")

    @given(st.lists(st.text("ab.-_ \"'\\é\n", min_size=1), min_size=1, max_size=4))
    def test_every_key_that_can_be_written_is_read_back(self, parts: list[str]) -> None:
        quoted = ".".join(msgspec.json.encode(part).decode() for part in parts)

        assert split_key(quoted) == parts


def test_a_list_position_is_written_in_brackets() -> None:
    assert join_key(("legs", 1, "vt symbol")) == 'legs[1]."vt symbol"'


def test_the_nearest_name_disregards_case_and_gives_up_on_what_is_unlike() -> None:
    assert nearest("NasdaQ", ["NASDAQ", "NYSE"]) == "NASDAQ"
    assert nearest("qqqq", ["NASDAQ", "NYSE"]) is None
