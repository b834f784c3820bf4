"""Settings of a backtest: what a file may say, what is refused, and how overrides reach their place."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from foxtrot.app import settings
from foxtrot.app.settings import BacktestJob, load_job
from foxtrot.core.constants import Product
from foxtrot.core.errors import ConfigError
from foxtrot.simulation.exchange import AccountSettings
from foxtrot.simulation.models import ExecutionModel, FeeModel, MarketFill, SlippageModel
from tests.unit.app.app_helpers import SETTINGS, make_world

STRATEGY = '\n[[strategy]]\npath = "s.py:S"\n'


def load_text(folder: Path, text: str, *overrides: str) -> BacktestJob:
    path = folder / "job.toml"
    path.write_text(text)
    return load_job(path, overrides)


def test_a_file_is_read_with_paths_relative_to_it(tmp_path: Path) -> None:
    job = load_job(make_world(tmp_path))

    assert job.name == "flip"
    assert job.data[0].path == tmp_path / "prices.csv"
    assert job.strategy[0].path == f"{tmp_path / 'strategies.py'}:Flip"
    assert job.folder == tmp_path / "out"
    assert job.strategy[0].setting == {"bars": 4}


def test_what_is_left_out_has_defaults(tmp_path: Path) -> None:
    job = load_text(tmp_path, '[[strategy]]\npath = "package.module:Class"\n')

    assert job.name == "job"
    assert job.folder == Path("results/job")
    assert job.strategy[0].path == "package.module:Class"
    assert job.account.build() == AccountSettings()
    assert job.execution.build() == ExecutionModel()


def test_every_part_reaches_the_engine(tmp_path: Path) -> None:
    text = """
    start = 2004-08-19
    end = 2013-03-01T12:00:00Z
    warmup_until = "2005-01-01"
    [account]
    capital = 5_000
    currency = "EUR"
    digits = 3
    [execution]
    market_fill = "same_close"
    leverage = 2
    fees = { rate = 0.001, minimum = 1, maker_rate = -0.0001 }
    slippage = { ticks = 1 }
    [[data]]
    path = "x.csv"
    vt_symbol = "ES.CME"
    contract = { product = "FUTURES", size = 50, pricetick = 0.25, margin_rate_long = 0.1 }
    """
    job = load_text(tmp_path, text)

    assert job.start == dt.date(2004, 8, 19)
    assert job.end == dt.datetime(2013, 3, 1, 12, tzinfo=dt.UTC)
    assert job.account.build() == AccountSettings(5000.0, "EUR", 3)
    model = job.execution.build()
    assert model.market_fill is MarketFill.SAME_CLOSE
    assert model.fees == FeeModel(rate=0.001, minimum=1.0, maker_rate=-0.0001)
    assert model.slippage == SlippageModel(ticks=1.0)
    contract = job.data[0].contract.build("ES.CME", "EUR")
    assert (contract.product, contract.size, contract.currency) == (Product.FUTURES, 50.0, "EUR")
    assert (contract.pricetick, contract.margin_rate_long) == (0.25, 0.1)


@pytest.mark.parametrize(
    ("struct", "model"),
    [
        (settings.Execution, ExecutionModel),
        (settings.Fees, FeeModel),
        (settings.Slippage, SlippageModel),
        (settings.Account, AccountSettings),
    ],
)
def test_the_settings_have_the_fields_and_defaults_of_the_models(struct: Any, model: Any) -> None:
    assert set(struct.__struct_fields__) == set(model.__dataclass_fields__)
    for name in set(struct.__struct_fields__) - {"fees", "slippage"}:
        assert getattr(struct(), name) == getattr(model(), name)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('nmae = "x"', "job.toml:1: nmae: unknown key (did you mean 'name'?)"),
        ("[acount]\ncapital = 5", "job.toml:1: acount: unknown key (did you mean 'account'?)"),
        (
            "[account]\n\ncapitl = 5",
            "job.toml:3: account.capitl: unknown key (did you mean 'capital'?)",
        ),
        (
            '[account]\ncapital = "much"',
            "job.toml:2: account.capital: expected float, found 'much'",
        ),
        ("[account]\ncapital = 0", "job.toml:2: account.capital: expected float > 0"),
        ("[execution]\nvolume_share = 1.5", "job.toml:2: execution.volume_share: expected float"),
        (
            '[execution]\nmarket_fill = "next_opn"',
            "job.toml:2: execution.market_fill: 'next_opn' is not known (did you mean 'next_open'?)",
        ),
        ("[execution.fees]\nrate = -1", "job.toml:2: execution.fees.rate: expected float >= 0"),
        ('[[data]]\nsample = "GOGO"', "there is no sample 'GOGO' (did you mean 'GOOG'?)"),
        ('[[data]]\ntz = "UTC"', "data[0]: give either path (a file) or sample"),
        ('[[data]]\nsample = "GOOG"\npath = "x.csv"', "give either path (a file) or sample"),
        (
            '[[data]]\nsample = "GOOG"\nvt_symbol = "GOOG.NYSE"',
            "leave vt_symbol out: the sample 'GOOG' has its own",
        ),
        (
            '[[data]]\npath = "x.csv"\ncontract = { size = 5 }',
            "a contract needs vt_symbol, such as 'ES.CME'",
        ),
        (
            '[[data]]\npath = "x.csv"\nvt_symbol = "AAPL"',
            "vt_symbol 'AAPL' is not SYMBOL.EXCHANGE",
        ),
        (
            '[[data]]\npath = "x.csv"\nvt_symbol = "AAPL.NASDQ"',
            "'NASDQ' is no known exchange",
        ),
        ("[[strategy]]\nname = 'x'", "job.toml:1: strategy[0].path: missing"),
        (f"{STRATEGY}name = 'a.b'", "name 'a.b' may only have letters, digits"),
        ("name = '../up'", "name '../up' may only have letters, digits"),
        ('start = "2004-13-01"', "start '2004-13-01' is no time; write a date as 2013-03-01"),
        ("warmup_until = 5", "warmup_until 5 is no time"),
        ("name = ", "not valid TOML"),
    ],
)
def test_what_does_not_fit_is_refused_with_place_and_cure(
    tmp_path: Path, text: str, told: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(tmp_path, text)

    assert told in str(caught.value)
    assert "job.toml" in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there\.toml: no such file"):
        load_job(tmp_path / "there.toml")


def test_overrides_set_keys_and_parameters(tmp_path: Path) -> None:
    job = load_text(
        tmp_path,
        SETTINGS,
        "name=other",
        "account.capital=7",
        "bars=9",
        "share=0.25",
        'data=[{sample="GOOG"}]',
    )

    assert (job.name, job.account.capital) == ("other", 7.0)
    assert job.strategy[0].setting == {"bars": 9, "share": 0.25}
    assert job.data[0].instrument == "GOOG.NASDAQ"


def test_with_several_strategies_a_parameter_needs_its_place(tmp_path: Path) -> None:
    text = STRATEGY * 2

    with pytest.raises(ConfigError, match=r"with 2 strategies .*strategy\.0\.setting\.fast=\.\.\."):
        load_text(tmp_path, text, "fast=3")

    job = load_text(tmp_path, text, "strategy.1.setting.fast=3")
    assert [item.setting for item in job.strategy] == [{}, {"fast": 3}]


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("nonsense", "--set nonsense: expected key=value"),
        ("account.capitl=3", "--set account.capitl=3: account.capitl: unknown key"),
        ("account.capital=much", "--set account.capital=much: account.capital: expected float"),
    ],
)
def test_a_wrong_override_is_refused(tmp_path: Path, override: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(tmp_path, SETTINGS, override)

    assert told in str(caught.value)
