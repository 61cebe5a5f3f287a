"""Seals of level 2: the person's SSH key, and nothing less once their settings name one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from lab import Lab

from orchestrator import seals, user
from orchestrator.ssh_seal import NAMESPACE, SshSealer
from orchestrator.user import ApprovalSettings
from state import words
from state.contract import SealError

T = "TICKET-1"
pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen on this machine")


def made(folder: Path, passphrase: str = "", name: str = "id_ed25519") -> Path:
    key = folder / name
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "ada@here", "-f", str(key)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    return key


def test_a_signature_counts_for_its_bytes_and_its_key_alone(tmp_path: Path) -> None:
    sealer, other = SshSealer(made(tmp_path)), SshSealer(made(tmp_path, name="other"))
    seal = sealer.seal(b"these bytes")
    assert sealer.check(b"these bytes", seal) and sealer.check(b"these bytes", seal)
    assert not sealer.check(b"other bytes", seal)
    assert not sealer.check(b"these bytes", other.seal(b"these bytes"))
    for junk in ("", "x", "\udc80", seal[:-40], seal.replace("A", "B"), "-----BEGIN SSH SIGNATURE-----\n"):
        assert not sealer.check(b"these bytes", junk)


def test_a_signature_made_for_something_else_is_no_seal(tmp_path: Path) -> None:
    key = made(tmp_path)
    for namespace in ("git", "file", NAMESPACE + "2"):
        command = ["ssh-keygen", "-Y", "sign", "-q", "-n", namespace, "-f", str(key)]
        done = subprocess.run(command, input=b"bytes", capture_output=True, check=True)
        assert not SshSealer(key).check(b"bytes", done.stdout.decode())


def test_a_key_that_cannot_be_used_is_a_line(tmp_path: Path) -> None:
    missing = SshSealer(tmp_path / "nowhere")
    with pytest.raises(SealError, match="nowhere"):
        missing.check(b"x", "y")
    with pytest.raises(SealError, match="nowhere"):
        missing.seal(b"x")
    (tmp_path / "odd.pub").write_text("nothing\n")
    with pytest.raises(SealError, match="no public key"):
        SshSealer(tmp_path / "odd").check(b"x", "y")


def test_the_settings_say_which_seal(tmp_path: Path) -> None:
    assert seals.of(ApprovalSettings()).level == 1
    found = seals.of(ApprovalSettings(ssh_key="~/.ssh/mine"))
    assert isinstance(found, SshSealer)
    assert (found.level, found.key) == (2, Path("~/.ssh/mine").expanduser())
    user.path().parent.mkdir(parents=True, exist_ok=True)
    user.path().write_text(f"approval:\n  ssh_key: {made(tmp_path)}\n")
    assert seals.yours().level == 2


def test_once_settings_name_a_key_nothing_less_is_accepted(lab: Lab, tmp_path: Path) -> None:
    key = made(tmp_path)
    lab.ticket(T, "echo new > new.txt")
    lab.run()
    before = lab.tip()
    lab.approve(T)  # sealed before the settings asked for more
    user.path().parent.mkdir(parents=True, exist_ok=True)
    user.path().write_text(f"approval:\n  ssh_key: {key}\n")
    lab.run()
    assert lab.tip() == before and "level 2" in lab.asks(T).summary
    lab.approve(T)
    lab.run()
    assert lab.tip() == before, "a weaker seal landed"
    shown = lab.asks(T)
    lab.say(words.approve, shown.id, shown.digest, sealer=SshSealer(made(tmp_path, name="theirs")))
    lab.run()
    assert lab.tip() == before, "a stranger's signature landed"
    shown = lab.asks(T)
    record = lab.say(words.approve, shown.id, shown.digest, sealer=seals.yours()).body["contract"]
    assert record["level"] == 2 and record["seal"].startswith("-----BEGIN SSH SIGNATURE-----")
    lab.run()
    assert lab.state(T) == "landed"
    lab.intact()


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals there")
@pytest.mark.parametrize(("typed", "approved"), [("right horse", True), ("wrong", False)])
def test_a_passphrase_is_asked_for_on_the_terminal(
    lab: Lab, tmp_path: Path, typed: str, approved: bool
) -> None:
    import pexpect

    key = made(tmp_path, passphrase="right horse")
    user.path().parent.mkdir(parents=True, exist_ok=True)
    user.path().write_text(f"approval:\n  ssh_key: {key}\n")
    lab.ticket(T, "echo new > new.txt", approve=["start"])
    lab.run()
    id_ = lab.asks(T, "start").id
    command = ["-P", "-m", "orchestrator.main", "approve", id_]
    child = pexpect.spawn(sys.executable, command, cwd=str(lab.root), encoding="utf-8", timeout=30)
    child.expect(r"\[y/N\] ")
    child.sendline("y")
    child.expect("passphrase")
    child.sendline(typed)
    child.expect(pexpect.EOF)
    child.close()
    assert (child.exitstatus == 0) is approved, child.before
    assert bool(lab.events(T, "proposal.approved")) is approved
    assert ("not signed" in child.before) is not approved
    lab.run()
    assert bool(lab.events(T, "action.intent")) is approved
