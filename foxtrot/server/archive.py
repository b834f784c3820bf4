"""Old history moves out of the database into Parquet files, and nothing that trading needs goes with it.

A cut is made in the journal: the rows up to it go to files. The state at the cut stays in the database as the base that
later facts are folded onto, and the chain's value at the cut is where the rest of the chain begins. Orders that were
closed by then, and their fills, leave the state; their ids stay, so that they are never used or folded again.

Invariants: the files are written, synced, read back and checked before the database changes; then it changes in one
transaction, which also journals an ``Archived`` fact. Whoever dies in between leaves files that the next run replaces.
Nothing is archived from a journal that is not whole, or while the state differs from it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from foxtrot.core.errors import MissingExtraError, PersistenceError
from foxtrot.core.objects import OrderData, TradeData
from foxtrot.server.journal.codec import base_digest, chain
from foxtrot.server.journal.facts import Archived
from foxtrot.server.persistence_files import put_in_place
from foxtrot.server.persistence_sqlite import SqlitePersistence
from foxtrot.server.persistence_verify import verify_state
from foxtrot.server.rebuild import Rebuilt, rebuild

CONTROL_STREAM = "control"

_PAGE_ROWS = 5_000
_COLUMNS: dict[str, Any] = {
    "seq": int,
    "stream": str,
    "stream_seq": int,
    "ts": int,
    "kind": str,
    "payload": bytes,
    "checksum": bytes,
}
_FIRST_KEPT = "SELECT seq FROM journal WHERE ts >= ? ORDER BY seq LIMIT 1"
_JOURNAL = "SELECT * FROM journal WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
_CHECKSUM = "SELECT checksum FROM journal WHERE seq = ?"
_LAST_SEQ = "SELECT seq FROM order_index WHERE vt_orderid = ?"
_STREAMS = (
    "INSERT OR REPLACE INTO stream_starts "
    "SELECT stream, max(stream_seq) FROM journal WHERE seq <= ? GROUP BY stream"
)


class ArchivedFile(msgspec.Struct, frozen=True):
    """One file of an archive: its name, rows, and the BLAKE2b-128 of its bytes (hexadecimal)."""

    name: str
    rows: int
    digest: str


class Manifest(msgspec.Struct, frozen=True):
    """What an archive holds: journal rows ``after`` + 1 to ``seq``; digests and checksums are hexadecimal."""

    database: str
    after: int
    seq: int
    checksum_before: str
    checksum: str
    base: str
    before_ns: int
    files: tuple[ArchivedFile, ...]


class ArchiveReport(NamedTuple):
    """What was moved: journal rows, orders and fills; ``manifest`` is None where there was nothing to move."""

    manifest: Path | None
    rows: int = 0
    orders: int = 0
    trades: int = 0


class _Closed(NamedTuple):
    """Orders and fills that leave the state."""

    orders: list[OrderData]
    trades: list[TradeData]


def archive(
    db: SqlitePersistence,
    before_ns: int,
    *,
    ts: int,
    folder: Path | None = None,
    digits: dict[str, int] | None = None,
) -> ArchiveReport:
    """Move the journal's beginning, and the orders closed in it, to Parquet files.

    The cut lies before the first fact of ``before_ns`` or later. The database must not be trading meanwhile.

    Args:
        db: the database.
        before_ns: what is older goes (ns UTC).
        ts: now (ns UTC), noted in the journal.
        folder: where the files go; ``<database>.archive`` beside it by default.
        digits: decimal places per currency code, as the OMS has them.

    Raises:
        MissingExtraError: pyarrow is not installed.
        PersistenceError: journal or state are not whole, or something cannot be written; the database is as it was.
    """
    _parquet()
    report = verify_state(db, digits)
    if not report.ok:
        raise PersistenceError(
            f"{db}: nothing is archived before the database is whole; run `foxtrot oms verify` to see why it is not"
        )
    cut = db.journal.cut()
    kept = db._execute(_FIRST_KEPT, (before_ns,), "search for the cut")
    last = kept[0][0] - 1 if kept else db.journal.head.seq
    if last <= cut.seq:
        return ArchiveReport(None)
    rebuilt = rebuild(db.journal, digits, last=last)
    closed = _closed(db, rebuilt, last)
    base = _base(rebuilt, closed)
    target = folder or db.path.with_name(f"{db.path.name}.archive")
    checksum: bytes = db._execute(_CHECKSUM, (last,), "reading of the cut")[0][0]
    try:
        target.mkdir(mode=0o700, exist_ok=True)
        files = _write_files(db, target, (cut.seq, last), closed)
        manifest = Manifest(
            db.path.name,
            cut.seq,
            last,
            cut.checksum.hex(),
            checksum.hex(),
            base_digest(base).hex(),
            before_ns,
            files,
        )
        path = _write_manifest(target, manifest)
    except OSError as error:
        raise PersistenceError(f"{target}: the archive cannot be written: {error}") from error
    check_archive(path)
    _cut(db, manifest, path.name, base, closed, ts)
    db._execute("VACUUM", (), "giving room back after the archive")
    return ArchiveReport(path, last - cut.seq, len(closed.orders), len(closed.trades))


def check_archive(manifest_path: Path) -> Manifest:
    """Read an archive wholly: digests of the files, and the chain from end to end.

    Raises:
        MissingExtraError: pyarrow is not installed.
        PersistenceError: a file is missing, or is not as it was written.
    """
    parquet = _parquet()
    try:
        manifest = msgspec.json.decode(manifest_path.read_bytes(), type=Manifest)
        for file in manifest.files:
            if _digest(manifest_path.with_name(file.name)) != file.digest:
                raise PersistenceError(
                    f"{manifest_path.with_name(file.name)} is not as it was written; restore it from a copy"
                )
    except (OSError, msgspec.DecodeError) as error:
        raise PersistenceError(f"{manifest_path}: the archive cannot be read: {error}") from error
    seq, checksum = manifest.after, bytes.fromhex(manifest.checksum_before)
    journal = parquet.ParquetFile(manifest_path.with_name(manifest.files[0].name))
    try:
        for batch in journal.iter_batches(batch_size=_PAGE_ROWS):
            columns = (batch.column(name).to_pylist() for name in _COLUMNS)
            for row in zip(*columns, strict=True):
                seq, checksum = seq + 1, chain(checksum, *row[:6])
                if row[0] != seq or row[6] != checksum:
                    raise PersistenceError(f"{manifest_path}: row {seq} is not as it was written")
    finally:
        journal.close()
    if (seq, checksum.hex()) != (manifest.seq, manifest.checksum):
        raise PersistenceError(f"{manifest_path}: the journal ends at row {seq}, not as noted")
    return manifest


def _closed(db: SqlitePersistence, rebuilt: Rebuilt, last: int) -> _Closed:
    """Orders that were closed at the cut and have no later fact, with their fills."""
    fold = rebuilt.fold
    orders = [
        order
        for key, order in fold.orders.orders.items()
        if key not in fold.orders.active
        and all(seq <= last for (seq,) in db._execute(_LAST_SEQ, (key,), f"look for {key!r}"))
    ]
    ids = {order.vt_orderid for order in orders}
    return _Closed(
        orders, [trade for trade in fold.trades.trades.values() if trade.vt_orderid in ids]
    )


def _base(rebuilt: Rebuilt, closed: _Closed) -> list[tuple[str, str]]:
    """The rows at the cut without what leaves: key and JSON text, in order of keys."""
    gone = {f"orders/{order.vt_orderid}" for order in closed.orders}
    gone |= {f"trades/{trade.vt_tradeid}" for trade in closed.trades}
    rows = {key: row for key, row in rebuilt.rows.items() if key not in gone}
    return [(key, msgspec.json.encode(rows[key]).decode()) for key in sorted(rows)]


def _cut(
    db: SqlitePersistence,
    manifest: Manifest,
    name: str,
    base: list[tuple[str, str]],
    closed: _Closed,
    ts: int,
) -> None:
    """Change the database, in one transaction."""
    orders = [(order.vt_orderid,) for order in closed.orders]
    trades = [(trade.vt_tradeid,) for trade in closed.trades]
    sealed = (
        manifest.seq,
        bytes.fromhex(manifest.checksum),
        ts,
        bytes.fromhex(manifest.base),
        name,
    )
    many, execute = db._execute_many, db._execute
    with db.transaction():
        many("INSERT INTO cuts VALUES (?, ?, ?, ?, ?)", [sealed], "cutting of the journal")
        execute(_STREAMS, (manifest.seq,), "cutting of the streams")
        for table in ("journal", "anchors"):
            sql = f"DELETE FROM {table} WHERE seq <= ?"  # noqa: S608 - a constant
            execute(sql, (manifest.seq,), "cutting of the journal")
        execute("DELETE FROM base_state", (), "writing of the base state")
        many("INSERT INTO base_state VALUES (?, ?)", base, "writing of the base state")
        for kind, ids in (("order", orders), ("trade", trades)):
            keep = f"INSERT OR IGNORE INTO archived_ids VALUES ('{kind}s', ?)"  # noqa: S608
            forget = f"DELETE FROM {kind}_index WHERE vt_{kind}id = ?"  # noqa: S608 - a constant
            drop = f"DELETE FROM oms_state WHERE key = '{kind}s/' || ?"  # noqa: S608 - a constant
            for sql in (keep, forget, drop):
                many(sql, ids, f"archiving of {kind}s")
        fact = Archived(manifest.seq, manifest.checksum, manifest.base, name, ts)
        db.commit([], [(CONTROL_STREAM, fact)])


def _write_files(
    db: SqlitePersistence, folder: Path, span: tuple[int, int], closed: _Closed
) -> tuple[ArchivedFile, ...]:
    after, last = span
    end = f"{after + 1}-{last}.parquet"

    def journal() -> Iterator[list[tuple[Any, ...]]]:
        seq = after
        while rows := db._execute(_JOURNAL, (seq, last, _PAGE_ROWS), "reading of the journal"):
            yield rows
            seq = rows[-1][0]

    return (
        _write(folder / f"journal-{end}", _COLUMNS, journal()),
        _write(folder / f"orders-{end}", _columns_of(OrderData), _tuples(closed.orders)),
        _write(folder / f"trades-{end}", _columns_of(TradeData), _tuples(closed.trades)),
    )


def _columns_of(type_: type[OrderData | TradeData]) -> dict[str, Any]:
    return {field.name: field.type for field in msgspec.structs.fields(type_)}


def _tuples(structs: Iterable[OrderData | TradeData]) -> Iterator[list[tuple[Any, ...]]]:
    """Pages of rows; enum members as their texts."""
    left = iter(structs)
    while page := [tuple(msgspec.to_builtins(item)[1:]) for item in islice(left, _PAGE_ROWS)]:
        yield page


def _write(
    path: Path, columns: dict[str, Any], pages: Iterator[list[tuple[Any, ...]]]
) -> ArchivedFile:
    """One Parquet file, put in place whole; enum members are texts."""
    import pyarrow as pa

    types = {int: pa.int64(), float: pa.float64(), bool: pa.bool_(), bytes: pa.binary()}
    schema = pa.schema([(name, types.get(type_, pa.string())) for name, type_ in columns.items()])
    partial = path.with_name(f"{path.name}.partial")
    count = 0
    with (
        os.fdopen(os.open(partial, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file,
        _parquet().ParquetWriter(file, schema, compression="zstd") as writer,
    ):
        for rows in pages:
            arrays = dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True))
            writer.write_table(pa.table(arrays, schema=schema))
            count += len(rows)
    put_in_place(partial, path)
    return ArchivedFile(path.name, count, _digest(path))


def _write_manifest(folder: Path, manifest: Manifest) -> Path:
    path = folder / f"manifest-{manifest.after + 1}-{manifest.seq}.json"
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2))
    put_in_place(partial, path)
    return path


def _digest(path: Path) -> str:
    digest = blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _parquet() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet", "archiving") from error
    return pyarrow.parquet
