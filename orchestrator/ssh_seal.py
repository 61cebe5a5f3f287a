"""Seals of level 2: a signature by the person's SSH key, which may need a passphrase or a touch.

`ssh-keygen -Y` makes and checks it, offline. The key and its `.pub` are the person's own, named in their own
settings; the engine only checks. The program is looked for in the system's folders before the PATH, which a
project's environment may head.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

from state.contract import SealError
from state.home import config_home

NAMESPACE = "jetbox-approval"
"""A signature made for this counts for nothing else, and the other way round."""
_WHO = "person"
_SYSTEM = "/usr/bin:/bin:/usr/local/bin:/opt/homebrew/bin"
_PATIENCE = 20.0  # seconds for a check, which takes some 20 ms; signing waits for a person


class SshSealer:
    """Seals with an SSH key; `key` is the private file, or the `.pub` of one that an agent holds."""

    level = 2
    asks = True

    def __init__(self, key: Path) -> None:
        self.key = key
        self._check = lru_cache(256)(self._verify)

    def seal(self, data: bytes) -> str:
        """Sign; the passphrase, if there is one, is asked for on the terminal."""
        command = [_program(), "-Y", "sign", "-q", "-n", NAMESPACE, "-f", str(self.key)]
        try:
            done = subprocess.run(command, input=data, stdout=subprocess.PIPE, check=False)
        except OSError as error:
            raise SealError(f"ssh-keygen cannot be started: {error.strerror or error}") from error
        if done.returncode != 0 or not done.stdout:
            where = config_home() / "config.yaml"
            raise SealError(f"not signed: {self.key} could not be used (`approval.ssh_key` in {where})")
        return done.stdout.decode("ascii", "replace")

    def check(self, data: bytes, seal: str) -> bool:
        """Whether the key's owner signed exactly this."""
        return self._check(self._public(), data, seal)

    def _public(self) -> str:
        """Type and key, as `allowed_signers` wants them."""
        file = self.key if self.key.suffix == ".pub" else self.key.with_name(f"{self.key.name}.pub")
        try:
            words = file.read_text("utf-8", "replace").split()
        except OSError as error:
            raise SealError(f"the public key {file}: {error.strerror or error}") from error
        if len(words) < 2:
            raise SealError(f"{file} is no public key")
        return f"{words[0]} {words[1]}"

    @staticmethod
    def _verify(public: str, data: bytes, seal: str) -> bool:
        with tempfile.TemporaryDirectory(prefix="jetbox-seal-") as folder:
            signers, signature = Path(folder, "allowed_signers"), Path(folder, "signature")
            signers.write_text(f'{_WHO} namespaces="{NAMESPACE}" {public}\n', encoding="utf-8")
            signature.write_bytes(seal.encode("utf-8", "surrogatepass"))
            command = [_program(), "-Y", "verify", "-f", str(signers), "-I", _WHO, "-n", NAMESPACE]
            try:
                done = subprocess.run(
                    [*command, "-s", str(signature)],
                    input=data,
                    capture_output=True,
                    timeout=_PATIENCE,
                    check=False,
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                raise SealError(f"ssh-keygen cannot check it: {error}") from error
        return done.returncode == 0


def _program() -> str:
    found = shutil.which("ssh-keygen", path=_SYSTEM) or shutil.which("ssh-keygen")
    if found is None:
        raise SealError("ssh-keygen is not there: install OpenSSH, or leave out `approval.ssh_key`")
    return found
