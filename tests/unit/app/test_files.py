"""Files appear wholly or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from foxtrot.app.files import check_folder, make_folder, write_atomically, write_text
from foxtrot.core.errors import ConfigError


def test_text_replaces_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    assert write_text(path, "new ü") == path

    assert path.read_text(encoding="utf-8") == "new ü"
    assert list(tmp_path.iterdir()) == [path]


def test_whoever_fails_on_the_way_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old")

    def fail(draft: Path) -> None:
        assert draft.suffix == ".csv"
        draft.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, fail)

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match="file is a file; choose another folder"):
        check_folder(tmp_path / "file" / "below")
    with pytest.raises(ConfigError, match="cannot be made"):
        make_folder(tmp_path / "file" / "below")
    with pytest.raises(ConfigError, match=r"a\.txt: cannot be written: No such file"):
        write_text(tmp_path / "none" / "a.txt", "text")


def test_looking_at_a_folder_does_not_make_it(tmp_path: Path) -> None:
    check_folder(tmp_path / "a" / "b")

    assert not (tmp_path / "a").exists()
    assert make_folder(tmp_path / "a" / "b").is_dir()
