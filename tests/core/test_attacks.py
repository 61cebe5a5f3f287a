"""Whoever tries to change the core without a person's sealed word: nothing comes of it, and it is on record.

One table, each an attempt through a real door: the files, the journal as whoever can write it, the words, the
engine, tickets, settings, a sandboxed command. After each, the version in force is the one before, byte for
byte, or, where its own files were damaged, an earlier one that a person had sealed; never anything else.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import attacks_by_hand as hand
import attacks_by_work as work
import pytest
import scripted_core
from attack_field import Base, Field
from core_lab import CoreLab

from state import core, core_words
from state.journal import Journal

ATTEMPTS = (*hand.ATTEMPTS, *work.ATTEMPTS)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[CoreLab, Base, Path, Path]]:
    """The base, made once: a contract is bound to its workspace's path, so each test gets it there."""
    tmp = tmp_path_factory.mktemp("attacked")
    home = tmp / "home"
    home.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
            patch.setenv(name, str(home))
        scripted_core.scripted(patch.setattr)
        lab = CoreLab(tmp / "lab")
        first = lab.adopt(sudoku=b"first", mazes=b"other")
        second = lab.adopt(sudoku=b"second")
        lab.teach()
        ticket, asked = lab.asked()
        shutil.copytree(lab.root, tmp / "kept", symlinks=True)
        yield lab, Base(first, second, ticket, asked), home, tmp / "kept"
        lab.close()


@pytest.fixture
def field(
    kept: tuple[CoreLab, Base, Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Field]:
    lab, base, home, copy = kept
    shutil.rmtree(lab.root)
    shutil.copytree(copy, lab.root, symlinks=True)
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(home))
    scripted_core.scripted(monkeypatch.setattr)
    yield Field(lab, base, tmp_path)


def named(attack: Callable[[Field], None]) -> str:
    return attack.__name__.replace("_", "-")


def noticed(at: Field) -> list[str]:
    """All that is on record, after a front has looked."""
    with at.lab.journal() as journal:
        core_words.notice(journal, core.verified(journal, at.lab.workspace, at.lab.sealer), "tester")
    return at.lab.refused()


@pytest.mark.parametrize("attack", hand.DAMAGE, ids=named)
def test_an_altered_version_is_never_used(field: Field, attack: Callable[[Field], None]) -> None:
    first = field.lab.bytes_of(field.base.first)
    attack(field)
    found = field.lab.current()
    assert found.version is not None and found.version.digest == field.base.first
    assert field.lab.bytes_of(field.base.first) == first
    assert found.passed[0][0] == field.base.second
    assert any(field.base.second[:12] in line for line in noticed(field))


@pytest.mark.parametrize("attack", [*ATTEMPTS, *work.ELSEWHERE], ids=named)
def test_nothing_but_a_persons_word_changes_the_core(field: Field, attack: Callable[[Field], None]) -> None:
    before, said = field.lab.bytes_of(field.base.second), len(field.lab.refused())
    attack(field)
    assert field.lab.now() == field.base.second
    assert field.lab.bytes_of(field.base.second) == before
    if attack in ATTEMPTS:
        assert len(noticed(field)) > said, "nothing of it is on record"
    with contextlib.closing(Journal.read(field.lab.workspace.journal)) as journal:
        assert journal.fault() is None


def test_the_base_of_the_table_can_be_changed_by_a_person(field: Field) -> None:
    """Without an attack the same question, approved, does change the core: the table proves something."""
    field.approve()
    field.lab.run()
    assert field.lab.now() == field.base.asked.subject["core"]


def test_there_are_as_many_attempts_as_were_promised() -> None:
    every = (*hand.DAMAGE, *ATTEMPTS, *work.ELSEWHERE)
    assert len(set(every)) == len(every) >= 25
