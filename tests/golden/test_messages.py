"""The bytes of every message on the wire: a change that other processes or old files would not understand fails here.

Fields may only be appended, with defaults; kinds and members are never renamed. After appending, write the file anew::

    python -m tests.golden.test_messages

and look at the difference: what was there before must still be there, in the same order.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgpack
import msgspec
import pytest

from foxtrot.core import constants, objects
from foxtrot.core.constants import (
    Direction,
    Interval,
    Liquidity,
    Offset,
    OptionType,
    OrderType,
    Product,
    Status,
    TimeInForce,
    VolumeMode,
)

FILE = Path(__file__).with_name("messages.json")
TS = 1_704_153_600_123_456_789
DEPTH = objects.Depth((1.0,), (2.0,), (3.0,), (4.0,))
SESSION = objects.SessionData(1.0, 2.0, 0.5, 1.5, 9.0, 0.1, 1e6, 42.0)
SIDES = ((99.0, 98.0), (1.0, 2.0), (101.0, 102.0), (3.0, 4.0))

EXAMPLES: tuple[msgspec.Struct, ...] = (
    DEPTH,
    SESSION,
    objects.TickData(
        "BRK.B.NYSE", TS, 99.5, 100.5, 1.0, 2.0, 100.0, 3.0, 4.0, DEPTH, SESSION, TS + 1, "SIM"
    ),
    objects.BarData(
        "AAPL.NASDAQ", TS, TS + 60, 1.0, 3.0, 0.5, 2.0, 7.0, Interval.HOUR, 8.0, 9.0, TS + 61, "SIM"
    ),
    objects.TradeTick("AAPL.NASDAQ", TS, 1.5, 2.0, Direction.SHORT, "t1", TS + 1, "SIM"),
    objects.BookDelta("AAPL.NASDAQ", TS, Direction.LONG, 1.5, 0.0, 7, TS + 1, "SIM"),
    objects.BookSnapshot("AAPL.NASDAQ", TS, *SIDES, 8, TS + 1, "SIM"),
    objects.OrderData(
        "SIM.sma-1",
        "AAPL.NASDAQ",
        Direction.SHORT,
        OrderType.STOP_LIMIT,
        10.0,
        99.5,
        99.0,
        Status.PARTTRADED,
        4.0,
        99.25,
        Offset.CLOSETODAY,
        TimeInForce.GTD,
        TS + 9,
        True,
        VolumeMode.EQUITY,
        0.5,
        "sma",
        "exit",
        "SIM.sma-0",
        "a reason",
        TS + 2,
        TS,
        "V1",
        "main",
    ),
    objects.TradeData(
        "SIM.7",
        "SIM.sma-1",
        "AAPL.NASDAQ",
        Direction.SHORT,
        99.25,
        4.0,
        TS,
        Offset.CLOSE,
        0.1,
        "USD",
        0.02,
        Liquidity.MAKER,
        "sma",
        "exit",
        TS + 1,
        "V1",
        "main",
    ),
    objects.PositionData(
        "SIM.AAPL.NASDAQ.LONG",
        "AAPL.NASDAQ",
        Direction.LONG,
        6.0,
        1.0,
        98.0,
        12.0,
        2.0,
        5.0,
        0.3,
        TS,
        TS + 1,
        "main",
    ),
    objects.AccountData("SIM.USD", 1000.5, 10.0, 20.0, "USD", TS, TS + 1),
    objects.ContractData(
        "XYZ.CBOE",
        "an option",
        Product.OPTION,
        100.0,
        0.05,
        0.5,
        500.0,
        "EUR",
        "XYZ",
        0.1,
        0.2,
        False,
        False,
        True,
        55.0,
        "XYZ.NYSE",
        OptionType.PUT,
        TS,
        TS + 1,
        "XYZ_O",
        "55",
        TS + 2,
        True,
        "SIM",
        TS + 3,
    ),
    objects.LogData("told", 30, "oms", TS),
    objects.TimerData("tick", TS, TS + 1),
    objects.SubscribeRequest("AAPL.NASDAQ", Interval.MINUTE_5),
    objects.OrderRequest(
        "AAPL.NASDAQ",
        Direction.LONG,
        OrderType.TRAILING_STOP,
        2.5,
        1.0,
        2.0,
        Offset.OPEN,
        TimeInForce.AT_CLOSE,
        TS,
        True,
        VolumeMode.CASH,
        0.9,
        1.1,
        "sma",
        "entry",
        "SIM.sma-2",
        "SIM.sma-1",
        True,
        1.0,
        0.25,
        "main",
    ),
    objects.ModifyRequest("SIM.sma-1", 99.0, None, 98.5),
    objects.CancelRequest("SIM.sma-1"),
    objects.HistoryRequest("AAPL.NASDAQ", TS, TS + 60, Interval.DAILY),
)

KINDS = {
    name: value
    for name, value in vars(objects).items()
    if isinstance(value, type) and issubclass(value, msgspec.Struct) and value is not msgspec.Struct
}
ENUMS = {
    name: value
    for name, value in vars(constants).items()
    if isinstance(value, type) and issubclass(value, constants.StrEnum) and name != "StrEnum"
}


def record() -> dict[str, Any]:
    """Everything that is fixed: kinds, fields, bytes and the values of the enumerations."""
    return {
        "messages": {
            type(example).__name__: {
                "kind": type(example).__struct_config__.tag,
                "fields": list(type(example).__struct_fields__),
                "hex": msgspec.msgpack.encode(example).hex(),
            }
            for example in EXAMPLES
        },
        "enums": {name: [member.value for member in kind] for name, kind in ENUMS.items()},
    }


def golden() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(FILE.read_text())
    return loaded


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: type(example).__name__)
def test_the_bytes_of_a_message_are_those_in_the_file(example: msgspec.Struct) -> None:
    known = golden()["messages"][type(example).__name__]
    fields = type(example).__struct_fields__

    assert type(example).__struct_config__.tag == known["kind"]
    assert list(fields[: len(known["fields"])]) == known["fields"], "fields may only be appended"
    assert msgspec.msgpack.encode(example).hex() == known["hex"], "regenerate after appending only"


@pytest.mark.parametrize("name", sorted(KINDS))
def test_what_was_written_before_can_still_be_read(name: str) -> None:
    known = golden()["messages"][name]
    old = bytes.fromhex(known["hex"])

    message = msgspec.msgpack.decode(old, type=KINDS[name])

    values = [getattr(message, field) for field in known["fields"]]
    assert msgspec.json.encode(values) == msgspec.json.encode(msgspec.msgpack.decode(old)[1:])


@pytest.mark.parametrize("name", sorted(KINDS))
def test_any_language_reads_a_message_as_an_array_that_begins_with_its_kind(name: str) -> None:
    known = golden()["messages"][name]

    kind, *values = msgpack.unpackb(bytes.fromhex(known["hex"]))

    assert kind == known["kind"]
    assert len(values) == len(known["fields"])


@pytest.mark.parametrize("name", sorted(KINDS))
def test_appended_fields_have_defaults_so_that_older_senders_are_understood(name: str) -> None:
    known = golden()["messages"][name]
    kind = KINDS[name]
    required = len(kind.__struct_fields__) - len(kind.__struct_defaults__)

    assert required <= len(known["fields"])
    short = msgpack.unpackb(bytes.fromhex(known["hex"]))[: required + 1]
    assert isinstance(msgspec.msgpack.decode(msgpack.packb(short), type=kind), kind)


def test_a_message_of_another_kind_or_with_an_unknown_member_is_refused() -> None:
    bar = msgspec.msgpack.encode(EXAMPLES[3])
    with pytest.raises(msgspec.ValidationError, match="Invalid value 'Bar'"):
        msgspec.msgpack.decode(bar, type=objects.TickData)
    unknown = msgpack.packb(["BookDelta", "A.LOCAL", 1, "SIDEWAYS", 1.0, 1.0])
    with pytest.raises(msgspec.ValidationError, match="SIDEWAYS"):
        msgspec.msgpack.decode(unknown, type=objects.BookDelta)


def test_every_kind_of_message_is_in_the_file_and_has_an_example() -> None:
    assert {type(example).__name__ for example in EXAMPLES} == set(KINDS)
    assert set(golden()["messages"]) == set(KINDS)


def test_every_example_sets_every_field_to_something_of_its_own() -> None:
    for example in EXAMPLES:
        kind = type(example)
        defaults = kind.__struct_fields__[
            len(kind.__struct_fields__) - len(kind.__struct_defaults__) :
        ]
        values = zip(defaults, kind.__struct_defaults__, strict=True)
        same = [name for name, default in values if getattr(example, name) == default]
        assert set(same) <= {"volume"}, f"{kind.__name__}: {same}"


@pytest.mark.parametrize("name", sorted(ENUMS))
def test_members_of_an_enumeration_are_only_added(name: str) -> None:
    assert set(golden()["enums"][name]) <= {member.value for member in ENUMS[name]}


if __name__ == "__main__":
    FILE.write_text(json.dumps(record(), indent=1) + "\n")
    sys.stdout.write(f"{FILE} has been written; look at the difference before you keep it\n")
