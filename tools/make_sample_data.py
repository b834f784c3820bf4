"""Make the sample data that ship with Foxtrot, from the development dependency ``bokeh_sampledata``.

    python tools/make_sample_data.py [FOLDER]

Writes ``us_daily.csv.gz`` (by default into ``foxtrot/data/samples``). The same input gives the same
bytes: rows are sorted by ticker and date, numbers keep their text, and the gzip header has no time.
The input is compared with the SHA-256 that its own manifest records.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import sys
from importlib.metadata import files
from pathlib import Path

PACKAGE = "bokeh_sampledata"
SOURCE = "bokeh_sampledata/_data/stocks.csv.gz"
SOURCE_SHA256 = "e73fe05d106b7da1abe8f947264c514afd02cef5c9db4864b9437c84d6bd6069"
COLUMNS = ("ticker", "date", "open", "high", "low", "close", "volume", "adj_close")
TARGET = Path(__file__).resolve().parents[1] / "foxtrot" / "data" / "samples"


def read_source() -> list[list[str]]:
    """Rows of the source without its header; refuses a file other than the one that was reviewed."""
    paths = [path for path in files(PACKAGE) or [] if path.as_posix() == SOURCE]
    if not paths:
        raise SystemExit(f"{PACKAGE} has no {SOURCE}; install version 2026.1")
    raw = gzip.decompress(Path(str(paths[0].locate())).read_bytes())
    digest = hashlib.sha256(raw).hexdigest()
    if digest != SOURCE_SHA256:
        raise SystemExit(
            f"{SOURCE} has SHA-256 {digest}, expected {SOURCE_SHA256}: review it first"
        )
    return list(csv.reader(io.StringIO(raw.decode("utf-8"))))[1:]


def main(folder: Path) -> None:
    """Write the sample file into ``folder``."""
    rows = sorted(read_source(), key=lambda row: (row[0], row[1]))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    folder.mkdir(parents=True, exist_ok=True)
    packed = gzip.compress(text.getvalue().encode("utf-8"), compresslevel=9, mtime=0)
    (folder / "us_daily.csv.gz").write_bytes(packed)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET)
