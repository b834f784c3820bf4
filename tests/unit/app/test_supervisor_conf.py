"""The supervisor's file: what it says of each program, and that the one at the top is what the renderer makes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from supervisor.options import ServerOptions

from foxtrot.app.control_up import _read_conf
from foxtrot.app.installation import load_installation
from foxtrot.app.supervisor_conf import Places, render_conf
from foxtrot.core.errors import ConfigError
from tests.unit.app.supervised_world import installation, short_folder

ROOT = Path(__file__).resolve().parents[3]
PYTHON = ROOT / ".venv" / "bin" / "python"


def parsed(path: Path):
    """The groups that supervisor itself reads from a file, by name."""
    options = ServerOptions()
    options.configfile = str(path)
    options.here = str(path.parent)
    options.process_config(do_usage=False)
    return {group.name: group for group in options.process_group_configs}


def test_the_file_at_the_top_is_what_the_renderer_makes_of_the_paper_installation() -> None:
    paper = load_installation(ROOT / "configs" / "paper.toml")

    made = render_conf(paper, Places(ROOT, PYTHON, ROOT))

    told = (ROOT / "supervisord.conf").read_text()
    assert told == made, "make it anew: foxtrot up --print-conf configs/paper.toml"


def test_it_names_no_absolute_path_where_all_is_below_it() -> None:
    assert str(ROOT) not in (ROOT / "supervisord.conf").read_text()


def test_supervisor_reads_every_program_in_order_of_starting() -> None:
    with short_folder() as folder:
        made = installation(folder)
        made.folder("logs")
        path = folder / "supervisord.conf"
        path.write_text(render_conf(made, Places(ROOT, Path(sys.executable), folder)))

        groups = parsed(path)

    order = sorted(groups.values(), key=lambda group: group.priority)
    assert [group.name for group in order] == [
        "watch",
        "recorder",
        "oms",
        "adapter-paper",
        "strategies",
        "backtest",
    ]
    oms = groups["oms"].process_configs[0]
    assert oms.command == (
        f'"{sys.executable}" -m services.oms --config "{folder / "test.toml"}" --name oms'
    )
    assert oms.directory is None  # the supervisor's own, the project
    assert oms.stopasgroup
    assert oms.killasgroup
    assert oms.environment["FOXTROT_CONFIG"] == str(folder / "test.toml")


@pytest.mark.parametrize(
    ("service", "again"), [("oms", {0, 1, 70}), ("strategies", {1, 70}), ("recorder", {0, 1, 70})]
)
def test_only_ends_that_were_not_meant_are_followed_by_a_start(service: str, again: set) -> None:
    with short_folder() as folder:
        (folder / "run/paper/logs").mkdir(parents=True)
        conf = folder / "supervisord.conf"
        conf.write_text((ROOT / "supervisord.conf").read_text())
        config = parsed(conf)[service].process_configs[0]

    assert {0, 1, 2, 70, 75} - set(config.exitcodes) == again


def test_the_control_socket_is_its_owners_alone() -> None:
    text = (ROOT / "supervisord.conf").read_text()

    assert "chmod = 0700" in text
    assert "[inet_http_server]" not in text


def test_a_path_that_supervisor_cannot_take_is_refused() -> None:
    with short_folder() as folder:
        odd = folder / "50%"
        odd.mkdir()
        made = installation(odd)

        with pytest.raises(ConfigError, match="use another folder"):
            render_conf(made, Places(ROOT, Path(sys.executable), folder))


def test_a_path_with_a_space_survives() -> None:
    with short_folder() as folder:
        odd = folder / "half of it"
        odd.mkdir()
        made = installation(odd)
        made.folder("logs")
        path = made.run / "supervisord.conf"
        path.write_text(render_conf(made, Places(ROOT, Path(sys.executable), path.parent)))

        oms = parsed(path)["oms"].process_configs[0]

    assert oms.environment["FOXTROT_CONFIG"] == str(odd / "test.toml")
    assert str(odd / "test.toml") in oms.command
    assert oms.stdout_logfile == str(odd / "run" / "logs" / "oms.log")


def test_whose_file_it_is_can_be_read_from_it() -> None:
    config, programs = _read_conf(ROOT / "supervisord.conf")

    assert config == ROOT / "configs" / "paper.toml"
    assert programs == {"recorder", "oms", "adapter-paper", "strategies", "watch", "backtest"}


def test_a_file_that_cannot_be_read_is_nobodys(tmp_path: Path) -> None:
    broken = tmp_path / "supervisord.conf"
    broken.write_text("no section\n")

    assert _read_conf(broken) == (None, set())
    assert _read_conf(tmp_path / "none") == (None, set())
