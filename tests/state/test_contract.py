"""The human contract: only the record that a person's key sealed for exactly this, here and once, counts."""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from state_doubles import State, about, leading_to, proposed, python, result

from state import words
from state.approval_key import SIZE, KeySealer
from state.canonical import canonical, digest
from state.contract import VERSION, ContractNotAccepted, Matter, SealError, accept, draw_up, session_id
from state.journal import Journal

T = "TICKET-001"
HERE = "/somewhere/project"
SUBJECT: dict[str, Any] = {
    "ticket": T, "attempt": 1, "base_ref": "refs/heads/main", "base": "b" * 40, "tree": "c" * 40,
    "changed": ["a.py", "b.py"], "rollback": {"how": "revert", "rehearsed": "gives back the base"},
    "isolation": "bubblewrap", "policy": "p",
}  # fmt: skip
MERGE = Matter("merge", SUBJECT)
posix = pytest.mark.skipif(sys.platform == "win32", reason="owners and modes are POSIX's")


@pytest.fixture
def sealer(tmp_path: Path) -> KeySealer:
    return KeySealer(tmp_path / "data" / "approval.key")


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal.open(tmp_path / "project" / ".jetbox" / "journal.db")


def drawn(sealer: KeySealer, asked: Matter = MERGE, workspace: str = HERE) -> dict[str, Any]:
    return draw_up(asked, "ada", session_id(), "a 1, TICKET-001", sealer, workspace=workspace)


def why_not(record: object, sealer: KeySealer, asked: Matter = MERGE, **more: Any) -> str:
    with pytest.raises(ContractNotAccepted) as refused:
        accept(record, asked, sealer, **{"workspace": HERE, **more})
    assert "approve it again" in str(refused.value)
    return refused.value.reason


# The record ------------------------------------------------------------------------------------------


def test_a_contract_says_who_what_when_how_it_is_undone_and_what_was_typed(sealer: KeySealer) -> None:
    contract = accept(drawn(sealer), MERGE, sealer, workspace=HERE)
    assert (contract.contract_version, contract.level, contract.authorized_by) == (VERSION, 1, "ada")
    assert datetime.fromisoformat(contract.approved_at).utcoffset() is not None
    assert contract.session_id == session_id() and len(contract.session_id) >= 32
    assert contract.scope["kind"] == "merge" and contract.scope["workspace"] == HERE
    wanted = {"ticket": T, "attempt": 1, "base_ref": "refs/heads/main", "base": "b" * 40, "files": 2}
    assert wanted.items() <= contract.scope.items()
    assert contract.rollback_plan == SUBJECT["rollback"]
    assert (contract.signoff, contract.digest) == ("a 1, TICKET-001", digest(SUBJECT))
    assert contract.nonce != accept(drawn(sealer), MERGE, sealer, workspace=HERE).nonce


FIELDS = [
    "approved_at", "authorized_by", "contract_version", "digest", "level", "nonce", "rollback_plan", "scope",
    "seal", "session_id", "signoff",
]  # fmt: skip


def test_every_field_of_a_record_is_attacked_below(sealer: KeySealer) -> None:
    assert sorted(drawn(sealer)) == FIELDS


@pytest.mark.parametrize("name", FIELDS)
def test_an_edited_field_is_noticed(sealer: KeySealer, name: str) -> None:
    record = drawn(sealer)
    old = record[name]
    if isinstance(old, dict):
        others: list[Any] = [{**old, "how": "never"}, {}, {**old, "files": 3}]
    elif isinstance(old, int):
        others = [old + 1, 0, str(old), float(old), True]
    else:
        others = [f"{old} ", "", old[:-1], old.upper() + "x", 7, None, [old], b"x".hex(), "\udc80", "ä"]
    for other in others:
        assert why_not({**record, name: other}, sealer) in ("forged", "version", "level", "stale"), other
    missing = {key: value for key, value in record.items() if key != name}
    assert why_not(missing, sealer) in ("forged", "version")
    assert why_not({**record, f"{name}2": "more"}, sealer) == "forged"


@pytest.mark.parametrize(
    "junk",
    [None, {}, "", "yes", 1, True, [], [1], {"seal": "x"}, {"contract_version": VERSION}, {"approved": True}],
)
def test_what_is_no_record_is_refused(sealer: KeySealer, junk: object) -> None:
    assert why_not(junk, sealer) in ("missing", "version", "forged")


def test_values_that_no_journal_writes_are_refused_and_nothing_worse(sealer: KeySealer) -> None:
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    for odd in ({"x": float("nan")}, {"x": float("inf")}, {"x": deep}):
        record = {**drawn(sealer), "rollback_plan": odd}
        with pytest.raises(ContractNotAccepted):
            accept(record, MERGE, sealer, workspace=HERE)


def test_a_record_of_another_version_is_refused_though_its_seal_is_genuine(sealer: KeySealer) -> None:
    record = {key: value for key, value in drawn(sealer).items() if key != "seal"}
    record["contract_version"] = VERSION + 1
    record["seal"] = sealer.seal(b"jetbox approval\n" + canonical(record).encode())
    assert why_not(record, sealer) == "version"


def test_a_seal_of_another_key_and_a_plain_hash_are_no_seals(sealer: KeySealer, tmp_path: Path) -> None:
    assert why_not(drawn(KeySealer(tmp_path / "other" / "key")), sealer) == "forged"
    record = drawn(sealer)
    body = b"jetbox approval\n" + canonical({k: v for k, v in record.items() if k != "seal"}).encode()
    for seal in ("", "0" * 64, hashlib.sha256(body).hexdigest(), hmac.new(b"", body, "sha256").hexdigest()):
        assert why_not({**record, "seal": seal}, sealer) == "forged"


def test_a_record_counts_for_one_content_one_kind_and_one_workspace(sealer: KeySealer) -> None:
    record = drawn(sealer)
    for name in SUBJECT:
        other = {**SUBJECT, name: {"how": "other"} if name == "rollback" else "other"}
        assert why_not(record, sealer, Matter("merge", other)) == "stale", name
    assert why_not(record, sealer, Matter("question", SUBJECT)) == "stale"
    assert why_not(record, sealer, workspace="/somewhere/else") == "stale"


def test_a_digest_that_is_not_the_subjects_is_neither_sealed_nor_accepted(sealer: KeySealer) -> None:
    class Shown:
        kind, subject, digest = "merge", {**SUBJECT, "tree": "evil"}, digest(SUBJECT)

    with pytest.raises(ContractNotAccepted):
        draw_up(Shown, "ada", "s", "a", sealer, workspace=HERE)
    with pytest.raises(ContractNotAccepted):
        accept(drawn(sealer), Shown, sealer, workspace=HERE)


def test_a_nonce_counts_once(sealer: KeySealer) -> None:
    record = drawn(sealer)
    accept(record, MERGE, sealer, workspace=HERE, used=frozenset({"another"}))
    assert why_not(record, sealer, used=frozenset({record["nonce"]})) == "used"


def test_settings_that_ask_for_more_do_not_take_less(sealer: KeySealer) -> None:
    class Stronger:
        level, asks = 2, True
        seal, check = sealer.seal, sealer.check

    assert why_not(drawn(sealer), Stronger()) == "level"  # type: ignore[arg-type]
    assert why_not(draw_up(MERGE, "a", "s", "a", Stronger(), workspace=HERE), sealer) == "level"


# The key ---------------------------------------------------------------------------------------------


def test_the_key_is_made_once_for_its_owner_alone_however_many_need_it(sealer: KeySealer) -> None:
    with ThreadPoolExecutor(16) as pool:
        seals = set(pool.map(lambda _: KeySealer(sealer.path).seal(b"x"), range(64)))
    assert len(seals) == 1 and seals == {sealer.seal(b"x")}
    assert sealer.path.stat().st_size == SIZE
    assert [each.name for each in sealer.path.parent.iterdir()] == ["approval.key"]
    if sys.platform != "win32":
        assert stat.S_IMODE(sealer.path.stat().st_mode) == 0o600
        assert stat.S_IMODE(sealer.path.parent.stat().st_mode) == 0o700


def test_the_key_lies_in_the_persons_data_folder() -> None:
    home = Path(os.environ["LOCALAPPDATA" if sys.platform == "win32" else "XDG_DATA_HOME"])
    assert KeySealer().path == home / "jetbox" / "approval.key"


def _linked(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def _dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("nowhere"))


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@posix
@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_linked, "is a link"),
        (_dangling, "is a link"),
        (_folder, "is no file"),
        (_pipe, "is no file"),
        (lambda path: path.chmod(0o640), "by others"),
        (lambda path: path.chmod(0o602), "by others"),
        (lambda path: path.write_bytes(b"short"), "32 bytes"),
        (lambda path: path.write_bytes(b""), "32 bytes"),
        (lambda path: path.write_bytes(b"x" * 33), "32 bytes"),
    ],
    ids=["link", "dangling", "folder", "pipe", "group", "others", "short", "empty", "long"],
)
def test_a_key_that_others_could_have_read_or_put_there_is_refused(
    sealer: KeySealer, spoil: Callable[[Path], None], says: str
) -> None:
    record = drawn(sealer)
    spoil(sealer.path)
    with pytest.raises(SealError, match=says) as error:
        sealer.seal(b"x")
    assert str(sealer.path) in str(error.value)
    assert why_not(record, sealer) == "key"


@posix
def test_a_key_of_another_user_is_refused(sealer: KeySealer) -> None:
    if os.geteuid() != 0:
        pytest.skip("giving a file away takes root")
    sealer.seal(b"x")
    os.chown(sealer.path, 12345, 12345)
    with pytest.raises(SealError, match="another user"):
        sealer.seal(b"x")


def test_a_folder_that_cannot_be_written_is_a_line_and_no_trace(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SealError, match="approval key"):
        KeySealer(tmp_path / "file" / "approval.key").seal(b"x")


# The words -------------------------------------------------------------------------------------------


def test_approving_writes_a_contract_that_is_accepted(journal: Journal, sealer: KeySealer) -> None:
    journal.append(*leading_to(State.REVIEW, T))
    shown = journal.views.inbox()[0]
    event = words.approve(journal, shown.id, shown.digest, sealer=sealer, signoff="a 001, TICKET-001")
    where = words.folder_of(journal)
    contract = accept(event.body["contract"], shown, sealer, workspace=where)
    assert contract.nonce == event.body["nonce"] and contract.signoff == "a 001, TICKET-001"
    assert contract.authorized_by == event.body["by"] == words.person()
    assert contract.rollback_plan == {"how": "revert", "rehearsed": ""}
    assert Path(where) == journal.path.resolve().parent.parent
    read = journal.events(ticket=T)[-1].body["contract"]
    assert accept(read, shown, sealer, workspace=where) == contract, "the journal changed it"


def test_a_subject_that_is_not_what_its_digest_names_is_not_approved(journal: Journal) -> None:
    journal.append(*leading_to(State.RUNNING, T))
    new = proposed(T)
    new.body["subject"] = {**new.body["subject"], "about": "something else"}
    journal.append(new)
    with pytest.raises(words.Stale, match="not what its digest names"):
        words.approve(journal, new.body["id"], new.body["digest"])
    assert len(journal.views.inbox()) == 1


def test_others_can_write_while_a_passphrase_is_typed_and_a_change_meanwhile_counts(
    journal: Journal, sealer: KeySealer
) -> None:
    journal.append(*leading_to(State.REVIEW, T))
    shown = journal.views.inbox()[0]

    class Slow(KeySealer):
        def seal(self, data: bytes) -> str:
            other = Journal.open(journal.path)
            other.append(about("proposal.stale", T, 1, id=shown.id, why="the base has moved"))
            other.close()
            return super().seal(data)

    with pytest.raises(words.Stale, match="the base has moved"):
        words.approve(journal, shown.id, shown.digest, sealer=Slow(sealer.path))
    assert not [event for event in journal.events() if event.type == "proposal.approved"]


def test_a_key_that_cannot_be_used_approves_nothing(journal: Journal, sealer: KeySealer) -> None:
    journal.append(*leading_to(State.REVIEW, T))
    sealer.path.mkdir(parents=True)
    shown = journal.views.inbox()[0]
    with pytest.raises(words.Refused, match="approval key"):
        words.approve(journal, shown.id, shown.digest, sealer=sealer)
    assert journal.views.inbox() == [shown]


@posix
def test_who_approves_is_asked_of_the_system_and_not_of_the_environment() -> None:
    said = {**os.environ, "LOGNAME": "mallory", "USER": "mallory", "LNAME": "mallory", "USERNAME": "mallory"}
    code = "from state.words import person; print(person())"
    assert result(python(code)) == result(python(f"import os; os.environ.update({said!r}); {code}"))


def test_a_word_to_roll_back_is_sealed_for_one_landing(journal: Journal, sealer: KeySealer) -> None:
    journal.append(*leading_to(State.LANDED, T))
    record = words.rollback(journal, T, sealer=sealer).body["contract"]
    landed = journal.views.attempts(T)[0]
    where = words.folder_of(journal)
    assert accept(record, words.rollback_matter(landed), sealer, workspace=where).scope["commit"] == "c" * 40
    for other in (landed._replace(commit="d" * 40), landed._replace(number=2), landed._replace(ticket="T-2")):
        assert why_not(record, sealer, words.rollback_matter(other), workspace=where) == "stale"


# Consent ---------------------------------------------------------------------------------------------


def session(journal: Journal, isolation: str = "none") -> None:
    journal.append(about("engine.started", "", pid=1))
    journal.append(about("engine.isolation", "", isolation=isolation, tried=[["bubblewrap", False, "no"]]))


def test_the_views_know_what_holds_the_commands_of_the_engine_that_runs(journal: Journal) -> None:
    assert (journal.views.session(), journal.views.isolation()) == (None, "")
    session(journal, "bubblewrap")
    found = journal.views.session()
    assert found is not None and found.open and found.tried == [["bubblewrap", False, "no"]]
    assert journal.views.isolation() == "bubblewrap"
    assert journal.views.engine()["state"] == "started", "isolation is no state of the engine"
    journal.append(about("engine.stopped", ""))
    assert journal.views.isolation() == ""
    session(journal, "none")
    assert journal.views.isolation() == "none" and journal.view_fault() is None


@pytest.mark.parametrize(
    "typed", ["", "yes", "run unsandboxed", "run unsandboxed in ", "run unsandboxed in Project",
              " run unsandboxed in project", "run unsandboxed in project\n", "RUN UNSANDBOXED IN PROJECT"],
)  # fmt: skip
def test_only_the_whole_phrase_consents(journal: Journal, typed: str) -> None:
    session(journal)
    with pytest.raises(words.Refused, match="run unsandboxed in project"):
        words.consent(journal, typed)
    assert not [event for event in journal.events() if event.type == "consent.given"]


def test_consent_counts_for_one_run_of_the_engine(journal: Journal, sealer: KeySealer) -> None:
    phrase = "run unsandboxed in project"
    with pytest.raises(words.Refused, match="no engine runs"):
        words.consent(journal, phrase, sealer=sealer)
    session(journal)
    event = words.consent(journal, phrase, sealer=sealer)
    found = journal.views.session()
    assert found is not None and found.consent == event.body
    matter = words.consent_matter(found)
    accept(event.body["contract"], matter, sealer, workspace=words.folder_of(journal))
    session(journal)
    later = journal.views.session()
    assert later is not None and later.consent == {}, "consent outlived the engine it was given to"
    journal.append(about("consent.given", "", **{**event.body, "session": later.seq}))
    replayed = journal.views.session()
    assert replayed is not None
    where = words.folder_of(journal)
    matter = words.consent_matter(replayed)
    assert why_not(replayed.consent["contract"], sealer, matter, workspace=where) == "stale"
    journal.append(about("engine.stopped", ""))
    with pytest.raises(words.Refused, match="no engine runs"):
        words.consent(journal, phrase, sealer=sealer)


def test_there_is_nothing_to_consent_to_where_a_sandbox_holds(journal: Journal) -> None:
    session(journal, "bubblewrap")
    with pytest.raises(words.Refused, match="bubblewrap"):
        words.consent(journal, "run unsandboxed in project")
