"""What a key does: one table a screen, read by the key handler, the key bar, the help and the palette."""

from __future__ import annotations

from dataclasses import dataclass

_NAMES = {
    "up": "↑", "down": "↓", "left": "←", "right": "→", "escape": "esc", "pageup": "pgup",
    "pagedown": "pgdn", "question_mark": "?", "ctrl+p": "ctrl+p",
}  # fmt: skip
_PLAIN = {"up": "up", "down": "down", "left": "left", "right": "right"}


@dataclass(frozen=True, slots=True)
class Command:
    """A thing a person can ask a screen for; the screen's `do_<name>` does it.

    `name` may carry one argument behind a colon, handed to the method as text.
    """

    name: str
    keys: tuple[str, ...]
    label: str
    """Two words at most, for the key bar."""
    help: str
    """What it does, in one line, for the help and the palette."""
    bar: bool = False
    group: str = "Here"
    listed: bool = True
    """Whether the palette offers it: moving about is no command there."""


def key_name(key: str, plain: bool = False) -> str:
    """A key as it is written on the screen."""
    if plain and key in _PLAIN:
        return _PLAIN[key]
    return _NAMES.get(key, key)


def pressed(key: str, character: str | None) -> str:
    """The name that `Command.keys` use for a key press: the character itself where it prints one."""
    if character is not None and character.isprintable() and character != " " and not key.startswith("ctrl+"):
        return character
    return key


EVERYWHERE = (
    Command("board", ("1",), "Board", "Show the board", group="Go to"),
    Command("ticket", ("2",), "Ticket", "Show the ticket that is selected", group="Go to"),
    Command("runs", ("3",), "Runs", "Show the runs: their curves, and how far they are", group="Go to"),
    Command("inbox", ("4",), "Inbox", "Show what waits for you", group="Go to"),
    Command("models", ("5",), "Models", "Show the models and what they hold of the machine", group="Go to"),
    Command("lab", ("6",), "Lab", "Ask the core, see how it came to an answer, correct it", group="Go to"),
    Command("help", ("?",), "help", "Show every key and what it does now", bar=True, group="Cockpit"),
    Command("palette", (":", "ctrl+p"), "commands", "Find a command by name", group="Cockpit", listed=False),
    Command("theme", ("t",), "Light or dark", "Change between light and dark", group="Cockpit"),
    Command("engine", ("s",), "start engine", "Start the engine, when none runs", group="Cockpit"),
    Command(
        "consent",
        ("U",),
        "unsandboxed",
        "Let commands run without a sandbox, where none holds",
        group="Cockpit",
    ),
    Command("back", ("q", "escape"), "back", "Go back; from the board: leave", group="Cockpit", listed=False),
    Command("quit", ("ctrl+c", "ctrl+q"), "Quit", "Leave the cockpit; the engine works on", group="Cockpit"),
)
"""What every screen answers to."""

MOVING = (
    Command("move:-1", ("up", "k"), "up", "Up", group="Move", listed=False),
    Command("move:1", ("down", "j"), "down", "Down", group="Move", listed=False),
    Command("page:-1", ("pageup", "ctrl+b"), "page up", "A page up", group="Move", listed=False),
    Command("page:1", ("pagedown", "ctrl+f"), "page down", "A page down", group="Move", listed=False),
    Command("end:-1", ("home", "g"), "first", "To the first", group="Move", listed=False),
    Command("end:1", ("end", "G"), "last", "To the last", group="Move", listed=False),
)

ON_TICKET = (
    Command("cancel", ("c",), "cancel", "Cancel the ticket; what was made goes to the trash", bar=True),
    Command("retry", ("r",), "retry", "Try again", bar=True),
    Command("comment", ("e",), "comment", "Tell the agent at work; where none is: try again with a comment"),
    Command("undo", ("u",), "undo", "Undo what you last did, where it can be undone"),
    Command("rollback", ("b",), "roll back", "Undo what landed, by a new commit on the base branch"),
    Command("restore", ("w",), "bring back work", "Bring back what the trash holds, on a branch"),
    Command("proposal", ("i",), "what it asks", "Show in the inbox what this ticket asks of you"),
)
"""What can be asked of the ticket that is selected, on the board and on its own screen."""
