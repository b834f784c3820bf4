"""The journal of the OMS: the facts that its state is folded from, chained so that no change goes unseen."""

from foxtrot.server.journal.codec import FACT_TYPES, GENESIS, Fact, decode_fact, encode_fact
from foxtrot.server.journal.facts import (
    Archived,
    Blocked,
    Counting,
    DayRolled,
    Halted,
    Note,
    Reconciled,
    Resumed,
    Unblocked,
    control_key,
)
from foxtrot.server.journal.high_water import HighWater, HighWaterFile, MarkState
from foxtrot.server.journal.journal import (
    ANCHOR_EVERY,
    Cut,
    Journal,
    JournalHead,
    JournalRow,
    all_facts,
)
from foxtrot.server.journal.verify import Break, JournalReport, Verification

__all__ = [
    "ANCHOR_EVERY",
    "FACT_TYPES",
    "GENESIS",
    "Archived",
    "Blocked",
    "Break",
    "Counting",
    "Cut",
    "DayRolled",
    "Fact",
    "Halted",
    "HighWater",
    "HighWaterFile",
    "Journal",
    "JournalHead",
    "JournalReport",
    "JournalRow",
    "MarkState",
    "Note",
    "Reconciled",
    "Resumed",
    "Unblocked",
    "Verification",
    "all_facts",
    "control_key",
    "decode_fact",
    "encode_fact",
]
