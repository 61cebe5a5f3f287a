"""The folder: which files count, that a change shows, and that each number is given out once."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tickets.folder import create, next_id, scan
from tickets.problems import TicketError


def test_only_the_yaml_files_of_the_folder_itself_count(tmp_path):
    assert scan(tmp_path) == {}
    folder = tmp_path / "tickets"
    (folder / "backlog").mkdir(parents=True)
    (folder / "folder.yaml").mkdir()
    for name in (
        "TICKET-002.yaml",
        "TICKET-001.yml",
        "odd.YAML",
        ".#TICKET-002.yaml",
        "a.yaml~",
        "README.md",
        "backlog/TICKET-009.yaml",
    ):
        (folder / name).write_text("x")
    assert [file.path.name for file in scan(tmp_path).values()] == [
        "TICKET-001.yml",
        "TICKET-002.yaml",
        "odd.YAML",
    ]
    assert list(scan(tmp_path)) == ["TICKET-001", "TICKET-002", "odd"]


def test_a_link_to_nothing_is_listed_so_that_it_shows_as_broken(tmp_path):
    (tmp_path / "tickets").mkdir()
    try:
        (tmp_path / "tickets" / "TICKET-001.yaml").symlink_to("nowhere")
    except OSError:
        pytest.skip("this system makes no links")
    assert list(scan(tmp_path)) == ["TICKET-001"]


def test_edits_replacements_and_nothing_else_change_the_signature(tmp_path):
    path = create(tmp_path, "one")
    before = scan(tmp_path)
    assert scan(tmp_path) == before
    path.write_text("three")
    edited = scan(tmp_path)
    assert edited != before
    kept = path.stat()
    spare = path.with_name("spare")
    spare.write_text("other")  # as long as before, and as old
    os.utime(spare, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    spare.replace(path)
    assert scan(tmp_path) != edited


def test_the_next_number_is_beyond_all_that_were_ever_seen(tmp_path):
    assert next_id(tmp_path) == "TICKET-001"
    folder = tmp_path / "tickets"
    (folder / "backlog").mkdir(parents=True)
    (folder / "TICKET-004.yml").touch()
    assert next_id(tmp_path) == "TICKET-005"
    (folder / "backlog" / "TICKET-0019.yaml").touch()
    assert next_id(tmp_path) == "TICKET-020"
    assert next_id(tmp_path, ["TICKET-1234"]) == "TICKET-1235"


def test_many_at_once_get_one_number_each(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda number: create(tmp_path, f"text {number}"), range(40)))
    assert sorted(path.stem for path in paths) == [f"TICKET-{number:03}" for number in range(1, 41)]
    assert [path.read_text() for path in paths] == [f"text {number}" for number in range(40)]


def test_two_processes_get_one_number_each(tmp_path):
    code = (
        "import sys; from pathlib import Path; from tickets.folder import create\n"
        "for _ in range(30): create(Path(sys.argv[1]), 'x')"
    )
    repository = Path(__file__).parents[2]
    both = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=repository) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert len(scan(tmp_path)) == 60


def test_nothing_is_written_through_a_link_that_leaves(tmp_path):
    root, outside = tmp_path / "repo", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    try:
        (root / "tickets").symlink_to(outside, target_is_directory=True)
    except OSError:
        pytest.skip("this system makes no links")
    with pytest.raises(TicketError, match="leaves the repository"):
        create(root, "x")
    assert list(outside.iterdir()) == []
