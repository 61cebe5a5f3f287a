"""A person's words: approve, deny, retry, cancel, rollback, restore, consent. Most need no engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import output
from orchestrator.cli.look import TicketId
from orchestrator.cli.output import Exit, Failed, Wrong, line

if TYPE_CHECKING:
    from state.journal import Journal
    from state.views import Proposal
    from state.workspace import Workspace

_SHOWN_DIFF = 200  # lines
_SHOWN_LAYERS = 8

ProposalId = Annotated[
    str, typer.Argument(metavar="PROPOSAL", help="Its id, or how it begins; `jetbox inbox` lists them.")
]


def approve(
    proposal: ProposalId,
    digest: Annotated[
        str, typer.Option(metavar="D", help="What you looked at; anything else is refused.")
    ] = "",
) -> int:
    """Approve exactly what a proposal's digest names.

    On a terminal what is approved is shown first, and you are asked. Elsewhere, name the digest.

    Example:
      jetbox approve 3f2a91c07b1d
      jetbox approve 3f2a91c07b1d --digest "$(jetbox inbox --json | jq -r '.[0].digest')"
    """
    from orchestrator import seals
    from orchestrator.cli.reading import here, speaking
    from state import words

    workspace, sealer, signoff = here(), seals.yours(), "jetbox approve --digest"
    with speaking(workspace) as journal:
        found = _find(journal, proposal)
        if not digest:
            if not output.can_ask():
                raise Wrong(f"without a terminal, say what you looked at: {_command(found)}")
            if found.state == "open":
                render(workspace, found)
                typed = confirmed(found)
                if not typed:
                    line("Nothing was approved")
                    return Exit.FAILED
                signoff = f"jetbox approve: {typed}, {found.ticket}"
        words.approve(journal, found.id, digest or found.digest, sealer=sealer, signoff=signoff)
    line(f"Approved: {found.summary}", "approved")
    _mention_engine(workspace)
    return 0


def deny(
    proposal: ProposalId,
    reason: Annotated[str, typer.Option(help="Why: whoever tries next is told.")],
) -> int:
    """Deny a proposal, with a reason.

    Example:
      jetbox deny 3f2a91c07b1d --reason "the test does not cover empty input"
    """
    from orchestrator.cli.reading import here, speaking
    from state import words

    workspace = here()
    with speaking(workspace) as journal:
        found = _find(journal, proposal)
        words.deny(journal, found.id, found.digest, reason)
    line(f"Denied: {found.summary}", "denied")
    _mention_engine(workspace)
    return 0


def retry(
    id: TicketId,
    comment: Annotated[str, typer.Option(help="What whoever tries should know.")] = "",
    stage: Annotated[
        int, typer.Option(min=0, metavar="N", help="Only from this stage on; those before it are kept.")
    ] = 0,
) -> int:
    """Try a ticket again. An attempt that is open is ended first.

    Example:
      jetbox retry TICKET-004 --comment "the file moved to src/"
      jetbox retry TICKET-007 --stage 2
    """
    from state import words

    return _say(f"{id} will be tried again", lambda journal: words.retry(journal, id, comment, stage=stage))


def answer(
    proposal: ProposalId,
    text: Annotated[
        str | None, typer.Argument(metavar="[TEXT]", help="An option's number, or your own words.")
    ] = None,
) -> int:
    """Answer a question of an agent's. With an option's number, or in your own words.

    Example:
      jetbox answer 3f2a91c07b1d 2
      jetbox answer 3f2a91c07b1d "neither: keep the old name, and say so in the docs"
    """
    from orchestrator import seals
    from orchestrator.cli.reading import here, speaking
    from state import words

    workspace = here()
    with speaking(workspace) as journal:
        found = _find(journal, proposal)
        options = [str(each) for each in found.subject.get("options") or ()]
        if text is None:
            if not output.can_ask():
                raise Wrong(f"without a terminal, say the answer: `jetbox answer {found.id} TEXT`")
            text = chosen(found)
            if not text:
                return Exit.FAILED
        elif text.isdigit() and 0 < int(text) <= len(options):
            text = options[int(text) - 1]
        words.answer(journal, found.id, found.digest, text, sealer=seals.yours())
    line(f"Answered: {text}", "approved")
    _mention_engine(workspace)
    return 0


def chosen(found: Proposal) -> str:
    """Show a question with its options and read the answer; '' for none."""
    options = [str(each) for each in found.subject.get("options") or ()]
    line(f"{found.ticket} asks: {found.subject.get('question') or found.summary}", "head")
    for number, option in enumerate(options, 1):
        best = " (recommended)" if number - 1 == found.subject.get("recommended") else ""
        line(f"  {number}  {option}{best}")
    print("Your answer, a number or your own words: ", end="", flush=True)
    typed = input().strip()
    return options[int(typed) - 1] if typed.isdigit() and 0 < int(typed) <= len(options) else typed


def comment(id: TicketId, text: Annotated[str, typer.Argument(metavar="TEXT")]) -> int:
    """Say something to the agent at work on a ticket. It reads it before its next turn.

    Example:
      jetbox comment TICKET-005 "mind the empty list"
    """
    from state import words

    return _say(f"{id} will hear it", lambda journal: words.comment(journal, id, text))


def take_over(id: TicketId) -> int:
    """Work in a ticket's worktree yourself. Nothing else is done there until you hand it back.

    Example:
      jetbox take-over TICKET-005
    """
    from orchestrator.cli.reading import here, speaking
    from state import words

    workspace = here()
    with speaking(workspace) as journal:
        said = words.take_over(journal, id)
    line(f"It is yours: {workspace.worktree(id, said.attempt)}")
    line(f"`jetbox hand-back {id}` gives it back; the checks run then")
    return 0


def hand_back(id: TicketId) -> int:
    """Give a worktree back. What you changed is kept, and the checks run.

    Example:
      jetbox hand-back TICKET-005
    """
    from state import words

    return _say(f"{id} goes on with what you changed", lambda journal: words.hand_back(journal, id))


def cancel(id: TicketId) -> int:
    """Stop a ticket. What it made goes to the trash.

    Example:
      jetbox cancel TICKET-004
    """
    from state import words

    return _say(f"{id} is being stopped", lambda journal: words.cancel(journal, id))


def rollback(id: TicketId) -> int:
    """Undo what a ticket landed. A new commit on the base branch takes it back.

    Example:
      jetbox rollback TICKET-001
    """
    from orchestrator import seals
    from state import words

    sealer, signoff = seals.yours(), f"jetbox rollback {id}"
    return _say(
        f"{id} is being rolled back",
        lambda journal: words.rollback(journal, id, sealer=sealer, signoff=signoff),
    )


def consent() -> int:
    """Let commands run without a sandbox. For machines where none holds, until the engine stops.

    It asks for a phrase, on a terminal only. Commands of tickets and checks can then do all that you can.

    Example:
      jetbox consent
    """
    from orchestrator import seals
    from orchestrator.cli.reading import here, speaking
    from state import words

    workspace = here()
    if not output.can_ask():
        raise Wrong("consent is typed by a person: run it on a terminal")
    with speaking(workspace) as journal:
        phrase = words.phrase_of(words.folder_of(journal))
        words.may_consent(journal)
        line("No sandbox holds on this machine.", "head")
        line("  Commands of tickets and checks would run with your rights: they could read, change and")
        line("  send all that you can. It counts for this repository until its engine stops.")
        print(f"Type `{output.safe(phrase)}` to let them: ", end="", flush=True)
        words.consent(journal, input().strip(), sealer=seals.yours())
    line("Commands run without a sandbox until the engine stops", "waiting")
    return 0


def restore(id: TicketId) -> int:
    """Bring back what is in the trash. It comes on a branch of its own.

    Example:
      jetbox restore TICKET-004
    """
    from state import words

    return _say(f"{id} is being brought back on a branch", lambda journal: words.restore(journal, id))


def _say(done: str, word: Callable[[Journal], object]) -> int:
    from orchestrator.cli.reading import here, speaking

    workspace = here()
    with speaking(workspace) as journal:
        word(journal)
    line(done)
    _mention_engine(workspace)
    return 0


def _mention_engine(workspace: Workspace) -> None:
    from state.lock import holder

    if holder(workspace.lock) is None:
        line("No engine runs: `jetbox` or `jetbox run` carries it out")


def _find(journal: Journal, id_: str) -> Proposal:
    found = journal.views.proposal(id_)
    if found is not None:
        return found
    asks = [p.id for p in journal.views.inbox() if p.ticket == id_]
    hint = f"{id_} asks by {' and '.join(asks)}" if asks else "`jetbox inbox` lists what waits"
    raise Failed(f"no proposal {id_}: {hint}")


def _command(found: Proposal) -> str:
    return f"`jetbox approve {found.id} --digest {found.digest}`"


# Showing what is approved ----------------------------------------------------------------------------


def render(workspace: Workspace, found: Proposal) -> None:
    """Everything that the digest is over, as far as a person reads it.

    Raises:
        Failed: what would be shown is not what the digest names.
    """
    from state.canonical import digest
    from state.views import verdict

    if digest(found.subject) != found.digest:
        raise Failed(f"{found.id} is not what its digest names: `jetbox verify` says what is wrong")
    subject = found.subject
    line(f"{found.kind}  {found.ticket}, attempt {found.attempt}", "head")
    line(f"  {found.summary}")
    for receipt in subject.get("receipts", ()):
        skipped = str(receipt.get("skipped") or "")
        word = "waiting" if skipped else "green" if receipt["passed"] else "red"
        told = verdict(bool(receipt["passed"]), str(receipt["side"]), skipped)
        line(f"  {told}: {receipt['check']} ({skipped or 'exit {}'.format(receipt['exit'])})", word)
    _render_core(subject)
    for name, value in subject.get("training", {}).items():
        line(f"  {name:<18} {value}")
    for program in subject.get("new", {}).get("programs", ()):
        line(f"  new program: {program}")
    for command in subject.get("commands", ()):
        line(f"  names {', '.join(subject.get('hosts', ()))}: {command}")
    for path in subject.get("notable", ()):
        line(f"  steers more than this change: {path}")
    for path in subject.get("changed", ()):
        line(f"  changes  {path}")
    if rollback := subject.get("rollback"):
        line(f"  rollback {rollback['how']}, rehearsed: {rollback['rehearsed']}")
    if isolation := subject.get("isolation"):
        if isolation == "none":
            line("  UNSANDBOXED: commands ran as you, with no sandbox", "failed")
        else:
            line(f"  commands ran in a sandbox: {isolation}")
    if base_ref := subject.get("base_ref"):
        line(f"  onto     {str(base_ref).removeprefix('refs/heads/')} at {str(subject['base'])[:10]}")
    if found.diff:
        _render_diff(workspace, subject, found.diff)
    line(f"  digest   {found.digest}")


def _render_core(subject: dict[str, Any]) -> None:
    """Of an update of the core: why, what it does to each task, and what it changes in which layers."""
    if "core" not in subject or "expected_effects" not in subject:
        return
    line(f"  from     {str(subject['before'])[:12]} to {str(subject['core'])[:12]}, part {subject['part']}")
    line(f"  because  {subject['rationale']}")
    line("  expected effects", "head")
    for row in subject["expected_effects"]:
        before, after = float(row["before"]), float(row["after"])
        role = "drop" if after < before else ""
        line(f"    {row['task']}, {row['measure']}: {before:.4g} to {after:.4g} on {row['rows']} rows", role)
    line("  largest differences", "head")
    for row in subject["difference"][:_SHOWN_LAYERS]:
        shape = "x".join(map(str, row["shape"]))
        line(f"    {row['layer']} ({shape}): {row['share']:.2%} of its norm, at most {row['largest']:.3g}")
    if (rest := len(subject["difference"]) - _SHOWN_LAYERS) > 0:
        line(f"    and {rest} more layers")


def _render_diff(workspace: Workspace, subject: dict[str, Any], blob: str) -> None:
    from state.blobs import Blobs
    from state.safe_text import safe_lines

    text = Blobs(workspace.blobs).get(blob).decode("utf-8", "replace")
    lines = safe_lines(text)
    roles = {"+": "add", "-": "drop", "@": "faint"}
    print()
    for each in lines[:_SHOWN_DIFF]:
        line(each, roles.get(each[:1], ""))
    if len(lines) > _SHOWN_DIFF:
        rest = f"git diff {str(subject.get('base'))[:12]} {str(subject.get('tree'))[:12]}"
        line(f"... {len(lines) - _SHOWN_DIFF} more lines: `{rest}` shows all")
    print()


def confirmed(found: Proposal) -> str:
    """What was typed to approve, '' where it was no yes.

    A merge takes the ticket's number, so that no stray key lands anything; the rest takes a `y`.
    """
    number = found.ticket.rpartition("-")[2]
    if found.kind in ("merge", "core", "network"):
        print(f"Type {number}, the ticket's number, to approve: ", end="", flush=True)
        return number if input().strip() == number else ""
    print("Approve? [y/N] ", end="", flush=True)
    typed = input().strip().lower()
    return typed if typed in ("y", "yes") else ""
