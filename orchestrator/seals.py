"""The seal that a person's settings ask for: Jetbox's own key, or their SSH key."""

from __future__ import annotations

from pathlib import Path

from orchestrator import user
from orchestrator.user import ApprovalSettings
from state.approval_key import KeySealer
from state.contract import Sealer


def of(settings: ApprovalSettings) -> Sealer:
    """The sealer for these settings. The key is looked at when it is used, not here."""
    if settings.ssh_key is None:
        return KeySealer()
    from orchestrator.ssh_seal import SshSealer

    return SshSealer(Path(settings.ssh_key).expanduser())


def yours() -> Sealer:
    """The sealer of whoever sits here.

    Raises:
        TicketError: their settings do not load.
    """
    return of(user.load().approval)
