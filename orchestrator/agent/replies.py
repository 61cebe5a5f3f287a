"""Replies of models, as they really write them, to verbs: prose, emphasis, bullets, lower case, tool calls.

It never guesses what would change a file: where a part may be missing, or belong to something else, the reply
is `Malformed` and the message shows the right form. Time is linear in the length of a reply.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from orchestrator.agent import fences, markers, paths, toolcalls
from orchestrator.agent.toolcalls import ToolCall
from orchestrator.agent.verbs import (
    EDIT_FORM,
    FORMS,
    Ask,
    Block,
    Done,
    Edit,
    Malformed,
    Read,
    Run,
    Search,
    Verb,
)

MOST = 4 * 1024 * 1024
"""Characters of a reply that are looked at; a longer one is refused."""
MOST_BLOCKS = 100
MOST_TEXT = 4000
"""Characters of a summary or a question that are kept."""
MOST_OPTIONS = 6
MOST_HEADS = 50
"""Lines that begin with a verb and are looked at until one is an action."""

_VERBS = "|".join(FORMS)
_HEAD = (
    r"[ \t]{0,16}(?:>[ \t]?)?(?:(?:[-*+•]|\d{1,2}[.)]|\#{1,6})[ \t]{1,4})?(?P<before>[*_`]{0,3})"
    r"(?:action[ \t]?:[ \t]?)?(?P<verb>" + _VERBS + r")(?![\w/.\-])"
    r"(?P<after>[*_`]{0,3}[ \t]?:[*_`]{0,3}|[*_`]{0,3})[ \t]*(?P<rest>.*)\Z"
)
_LOUD = re.compile(_HEAD.replace("action", "[Aa]ction|ACTION"))
_QUIET = re.compile(_HEAD, re.IGNORECASE)
_SAME_LINE = re.compile(r"((?:(?!```).){0,600}?)[ \t]{0,16}(`{3,16}[\w+.-]{0,32})\Z")
_OPTION = re.compile(r"[ \t]{0,16}(?:[-*+•]|\(?(?:\d{1,2}|[A-Za-z])[.)])[ \t]+(?:\[.?\][ \t]*)?(.+)\Z")
_RECOMMENDED = re.compile(r"[*_]{0,2}[\[(]?\b(?:recommended)\b[\])]?[*_]{0,2}", re.IGNORECASE)
_HEREDOC = re.compile(r"<<-?[ \t]?['\"\\]?([A-Za-z_]\w{0,40})")
_ODD = re.compile(r"(?<!\\)(?:\\\\)*\\(?:x00|ud[89a-f])")  # NUL or half a pair, as `repr` writes them
_DIFF = re.compile(r"@@ |--- [^ ]|\*\*\* (?:Begin Patch|Update File|Add File)|diff --git ")


@dataclass(frozen=True)
class _Head:
    """A line that begins with a verb."""

    at: int
    verb: str
    rest: str
    listed: bool  # as one of several steps
    firm: bool  # with a colon or marks, so that it is no sentence


def parse(text: str) -> Verb:
    """The first complete action in a reply.

    What follows it is not looked at: the model has not seen what comes of it.

    Raises:
        Malformed: there is none, one that changes a file is not complete, or it holds what no file or command
            can hold; the message is for the model.
    """
    verb = _parsed(text)
    if _ODD.search(repr(tuple(vars(verb).values()))):
        raise Malformed(f"The action holds a character that no file or command can hold.\n\n{_forms()}")
    return verb


def _parsed(text: str) -> Verb:
    if len(text) > MOST:
        raise Malformed(f"The reply is longer than {MOST} characters. Answer with one action:\n\n{_forms()}")
    lines = _unthought([line.removesuffix("\r") for line in text.rstrip().split("\n")])
    if not any(line.strip() for line in lines):
        raise Malformed(f"The reply is empty. Answer with one action:\n\n{_forms()}")
    heads = _heads(lines, _LOUD)
    faults: list[str] = []
    if verb := _first(lines, heads, faults):
        return verb
    if verb := _nameless(lines):
        return verb
    if (call := toolcalls.first("\n".join(lines))) and (verb := _called(call)):
        return verb
    quiet = [head for head in _heads(lines, _QUIET) if _meant(lines, head)]
    if verb := _first(lines, quiet, faults):
        return verb
    raise Malformed(faults[0] if faults else _lost(lines))


def _forms() -> str:
    return "\n\n".join(FORMS.values())


def _wrong(verb: str, why: str) -> Malformed:
    """What is said of an action that can't be taken: why, and its form."""
    return Malformed(f"{verb} was not done: {why}. The form is:\n\n{FORMS[verb]}")


# Where an action begins -----------------------------------------------------------------------------


def _unthought(lines: list[str]) -> list[str]:
    """Without thoughts that were left in the reply, up to the first `</think>` that is no part of a file."""
    text = "\n".join(lines).lstrip()
    if text.startswith(("<think>", "<thinking>")):
        for end in ("</think>", "</thinking>"):
            before, found, after = text.partition(end)
            if found and "<think" in before[:12]:
                return after.split("\n")
        return text.partition(">")[2].split("\n")
    for number, line in enumerate(lines):
        if fences.mark(line) or markers.opens(line):
            break
        if line.strip() in ("</think>", "</thinking>"):
            return lines[number + 1 :]
    return lines


def _heads(lines: Sequence[str], form: re.Pattern[str]) -> list[_Head]:
    heads = []
    for at, line in enumerate(lines):
        found = form.match(line)
        if found is None:
            continue
        before, after, rest = found["before"], found["after"], found["rest"].strip()
        open_marks = before.replace("_", "") if not after.strip(" :") else ""
        for sign in reversed(open_marks):
            rest = rest.removesuffix(sign)  # **READ a.py**
        verb = found["verb"].upper()
        if rest.startswith("/") and verb == "SEARCH":  # SEARCH/REPLACE, in prose
            continue
        listed = (
            line[: found.start("before")].strip() not in ("", ">") and "#" not in line[: found.start("verb")]
        )
        heads.append(
            _Head(at, verb, rest.lstrip(": ") if after == "" else rest, listed, ":" in after or bool(before))
        )
    return heads


def _meant(lines: Sequence[str], head: _Head) -> bool:
    """Whether a line that begins with a verb in lower case is an action, and not a sentence."""
    if head.verb in ("READ", "EDIT"):
        return paths.looks(re.sub(r":[\d\- ]*\Z", "", head.rest))
    if head.verb == "DONE":
        return head.firm or (not head.rest.strip(".! ") and head.at == len(lines) - 1)
    return bool(head.rest) and (head.firm or head.rest.startswith("`"))


def _first(lines: Sequence[str], heads: Sequence[_Head], faults: list[str]) -> Verb | None:
    """The first head that is an action. What is wrong with those that are none is added to `faults`.

    Raises:
        Malformed: it is not complete, and what follows would be done in its place.
    """
    undone = False
    for index, head in enumerate(heads[:MOST_HEADS]):
        if undone and head.verb != "EDIT":
            continue
        if head.verb == "DONE" and head.listed and faults:
            continue  # the last step of a plan
        try:
            if verb := _take(head, lines, heads[index + 1 :], faults):
                return verb
        except paths.NoPath as fault:
            if not fault.prose:
                raise _wrong(head.verb, str(fault)) from fault
            faults.append(str(_wrong(head.verb, str(fault))))
            continue
        # whatever comes next was meant to come after this edit; in a plan its text may come later
        undone = undone or (head.verb == "EDIT" and not head.listed)
    if undone:
        raise Malformed(faults[0])
    return None


def _take(head: _Head, lines: Sequence[str], later: Sequence[_Head], faults: list[str]) -> Verb | None:
    """The action of one head; None, and why, where it has none."""
    if (call := toolcalls.alone(head.verb, head.rest)) and (verb := _called(call)):
        return verb
    if split := _SAME_LINE.match(head.rest):  # EDIT a.py ```python
        lines = [*lines[: head.at], "", split[2], *lines[head.at + 1 :]]
        head, later = replace(head, rest=split[1]), [replace(other, at=other.at + 1) for other in later]
    stop = later[0].at if later else len(lines)
    match head.verb:
        case "READ":
            return Read(*paths.path_and_lines(head.rest or _below(lines, head.at + 1, stop)))
        case "EDIT":
            if edit := _edit(head, lines, later):
                return edit
            faults.append(str(_wrong("EDIT", f"no fence and no block follows `EDIT {head.rest[:80]}`")))
        case "SEARCH":
            if pattern := _unquoted(head.rest or _below(lines, head.at + 1, stop)):
                return Search(pattern)
            faults.append(str(_wrong("SEARCH", "the text to look for is missing")))
        case "RUN":
            if command := _command(head, lines, stop):
                return Run(command)
            faults.append(str(_wrong("RUN", "the command is missing")))
        case "DONE":
            return Done(_rest(head, lines, stop))
        case "ASK":
            return _ask(_rest(head, lines, stop).split("\n"))
    return None


# What stands behind a verb --------------------------------------------------------------------------


def _below(lines: Sequence[str], at: int, stop: int) -> str:
    """What stands under a verb that has nothing behind it: what is in the fence there, or the next line."""
    for number in range(at, min(stop, at + 3)):
        if fence := fences.fenced(lines, number):
            return "\n".join(fences.inside(lines, fence)).strip()
        if lines[number].strip():
            return lines[number].strip()
    return ""


def _rest(head: _Head, lines: Sequence[str], stop: int) -> str:
    """All text of an action that may take several lines."""
    below = [line for line in lines[head.at + 1 : stop] if not fences.mark(line)]
    return "\n".join((head.rest, *below)).strip()[:MOST_TEXT].strip()


def _unquoted(text: str) -> str:
    """Without the marks around all of it, if there are any."""
    text = text.strip()
    for sign in ("```", "`", '"', "'"):
        inner = text[len(sign) : -len(sign)]
        if len(text) > 2 * len(sign) and text.startswith(sign) and text.endswith(sign) and sign not in inner:
            return inner.strip()
    return text


def _command(head: _Head, lines: Sequence[str], stop: int) -> str:
    """A command line; with the lines that go on with it, or all that stands in the fence under RUN."""
    if not head.rest:
        return _below(lines, head.at + 1, stop).removeprefix("$ ")
    command = _unquoted(head.rest) if head.rest[0] == "`" else head.rest
    command = command.removeprefix("$ ").strip()
    last = head.at
    while command.endswith("\\") and last + 1 < len(lines):
        last += 1
        command += "\n" + lines[last]
    if here := _HEREDOC.search(command):
        for number in range(last + 1, len(lines)):
            if lines[number].strip() == here[1]:
                return "\n".join((command, *lines[last + 1 : number], here[1]))
        raise _wrong("RUN", f"its text up to {here[1]} is not complete; a file is written by EDIT")
    return command


def _ask(lines: Sequence[str]) -> Ask:
    options: list[str] = []
    recommended = 0
    question: list[str] = []
    for line in lines:
        found = _OPTION.match(line)
        if found is None:
            if not options:
                question.append(line)
            continue
        text, marked = _RECOMMENDED.subn("", found[1], count=1)
        if marked:
            recommended = len(options)
        options.append(text.strip(" \t-:;,") or found[1].strip())
    if not (asked := _unquoted("\n".join(question))):
        raise _wrong("ASK", "the question is missing")
    if len(options) > MOST_OPTIONS:
        raise _wrong("ASK", f"{len(options)} options are too many, give two or three")
    return Ask(asked, tuple(options), recommended)


# Edits ----------------------------------------------------------------------------------------------


def _edit(head: _Head, lines: Sequence[str], later: Sequence[_Head]) -> Edit | None:
    """The change that follows its head; None where nothing does.

    Raises:
        Malformed: something follows, and it may not be all, or not be for this file.
    """
    lines, around = _unwrapped(head, lines)
    heads = {other.at for other in later if other.at < len(lines)}
    begin = head.at + 1
    name = head.rest
    if not name:
        begin = next((n for n in range(begin, len(lines)) if lines[n].strip()), begin)
        name, begin = (lines[begin], begin + 1) if begin < len(lines) else ("", begin)
    ends = min(heads, default=len(lines))
    at = next((n for n in range(begin, ends) if fences.mark(lines[n]) or markers.opens(lines[n])), None)
    if at is None and not (around and any(line.strip() for line in lines[begin:ends])):
        paths.path(name)
        return None
    try:
        path = paths.path(name)
    except paths.NoPath as fault:
        raise _wrong("EDIT", str(fault)) from fault
    if path == "." or name.rstrip("`\"' ").endswith(("/", "\\")):
        raise _wrong("EDIT", f"`{name.strip()[:80]}` is a folder")
    if at is None:
        return Edit(path, whole=_joined(lines[begin:ends]))
    fence = fences.fenced(lines, at)
    if fence is None or _blocks_first(lines, fence):
        return Edit(path, _blocks(path, lines, at, heads))
    return Edit(path, whole=_whole(path, lines, fence, heads))


def _unwrapped(head: _Head, lines: Sequence[str]) -> tuple[Sequence[str], bool]:
    """Where a fence stands around the whole action, the lines without its end; and whether one does."""
    above = next((n for n in range(head.at - 1, -1, -1) if lines[n].strip()), None)
    outer = fences.mark(lines[above]) if above is not None else None
    if outer is None or above is None or any(fences.mark(line) for line in lines[:above]):
        return lines, False
    for number in range(len(lines) - 1, head.at, -1):
        if (end := fences.mark(lines[number])) and not end.info and end.sign == outer.sign:
            return lines[:number], True
    return lines, False


def _blocks_first(lines: Sequence[str], fence: fences.Fence) -> bool:
    """Whether what stands in a fence begins with a block, perhaps under the name of the file."""
    filled = (n for n in range(fence.first, min(fence.end, fence.first + 6)) if lines[n].strip())
    first = next(filled, None)
    if first is None or markers.opens(lines[first]):
        return first is not None
    second = next(filled, None)
    return second is not None and markers.opens(lines[second]) and paths.looks(lines[first].strip("#/ *"))


def _blocks(path: str, lines: Sequence[str], at: int, heads: set[int]) -> tuple[Block, ...]:
    blocks: list[Block] = []
    number = at
    while number < len(lines) and number not in heads:
        if not markers.opens(lines[number]):
            if blocks and _other_file(path, lines, number):
                break
            number += 1
            continue
        try:
            search, put, number = markers.block(lines, number)
        except markers.Torn as fault:
            raise _wrong("EDIT", str(fault)) from fault
        blocks.append(Block(_joined(search), _joined(put)))
        if len(blocks) > MOST_BLOCKS:
            raise _wrong("EDIT", f"it has more than {MOST_BLOCKS} blocks; make a few changes at a time")
    return tuple(blocks)


def _other_file(path: str, lines: Sequence[str], at: int) -> bool:
    """Whether the blocks from here on are for another file, named on this line."""
    text = lines[at].strip().strip("#*: ")
    if not paths.looks(text) or paths.path(text) == path:
        return False
    below = next((line for line in lines[at + 1 : at + 4] if line.strip()), "")
    return markers.opens(below) or fences.mark(below) is not None


def _whole(path: str, lines: Sequence[str], fence: fences.Fence, heads: set[int]) -> str:
    if not fence.closed and any(head >= fence.first for head in heads):
        raise _wrong("EDIT", "its fence is not closed")
    stop = min((head for head in heads if head > fence.end), default=len(lines))
    if fences.doubtful(lines, fence, stop):
        longer = fence.mark.sign + fence.mark.sign[0]
        raise _wrong(
            "EDIT",
            "it can't be told where its fence ends, as there are fences within or behind it. Put nothing"
            f" behind the fence, and where the file holds fences itself use a longer one around it, {longer}",
        )
    inside = fences.inside(lines, fence)
    first = next((line for line in inside if line.strip()), "")
    patch = path.endswith((".diff", ".patch"))
    if not patch and (_DIFF.match(first) or fence.mark.info.lower() in ("diff", "patch")):
        raise _wrong("EDIT", "diffs are not taken, as their line numbers seldom fit")
    if any(markers.opens(line) and line[0] == "<" for line in inside) and not path.endswith(".md"):
        raise _wrong("EDIT", "its fence holds SEARCH/REPLACE blocks and other lines as well")
    return _joined(inside)


def _nameless(lines: Sequence[str]) -> Edit | None:
    """Blocks with no verb, under the name of their file: what models do that were taught by another tool.

    Raises:
        Malformed: no file is named.
    """
    at = next((n for n, line in enumerate(lines) if markers.opens(line)), None)
    if at is None:
        return None
    for number in range(at - 1, max(-1, at - 5), -1):
        found = _QUIET.match(lines[number])
        text = found["rest"] if found and found["verb"].lower() == "edit" else lines[number]
        mark = fences.mark(text)
        text = (mark.info.split() or [""])[-1] if mark else text.strip().strip("#*:/ ")
        if paths.looks(text):
            return Edit(paths.path(text), _blocks(paths.path(text), lines, at, set()))
    raise _wrong("EDIT", "no line `EDIT path/to/file` stands before its blocks")


def _joined(lines: Sequence[str]) -> str:
    return "".join(line + "\n" for line in lines)


# Tool calls, and no action at all -------------------------------------------------------------------


def _called(call: ToolCall) -> Verb | None:
    """The verb that a tool call means.

    Raises:
        Malformed: what it was given is not enough, or not clear.
    """
    try:
        match "READ" if call.given.get("command") == "view" else call.verb:
            case "READ":
                path, first, last = paths.path_and_lines(call.text(*_PATH) or "")
                lines = call.given.get("view_range")
                if isinstance(lines, list) and len(lines) == 2:
                    call = ToolCall(call.verb, {"first": lines[0], "last": lines[1]})
                return Read(
                    path,
                    first or call.number("first", "start", "start_line"),
                    last or call.number("last", "end", "end_line"),
                )
            case "SEARCH" if pattern := call.text("pattern", "query", "regex", "text", "search", ""):
                return Search(pattern)
            case "RUN" if command := call.text("command", "cmd", "script", ""):
                return Run(command)
            case "DONE":
                return Done((call.text("summary", "message", "result", "text", "") or "")[:MOST_TEXT])
            case "ASK" if question := call.text("question", "text", "message", ""):
                options = call.given.get("options")
                given = (
                    [each for each in options if isinstance(each, str)] if isinstance(options, list) else []
                )
                return _ask([question, *(f"- {option}" for option in given)])
            case "EDIT":
                return _called_edit(call, paths.path(call.text(*_PATH) or ""))
    except paths.NoPath as fault:
        raise _wrong(call.verb, str(fault)) from fault
    raise _wrong(call.verb, "an argument is missing")


_PATH = ("path", "file_path", "file", "filename", "target_file", "")


def _called_edit(call: ToolCall, path: str) -> Edit:
    """An edit in a tool call, where it can be meant in one way only."""
    whole = call.text("content", "contents", "file_text", "new_content", "diff")
    search = call.text("search", "old_string", "old_str", "old_text", "old")
    put = call.text("replace", "new_string", "new_str", "new_text", "new")
    if whole is not None and search is None and put is None:
        lines = whole.replace("\r\n", "\n").split("\n")
        at = next((n for n, line in enumerate(lines) if line.strip()), 0)
        if markers.opens(lines[at]):
            return Edit(path, _blocks(path, lines, at, set()))
        if "diff" not in call.given and not _DIFF.match(lines[at]):
            return Edit(path, whole=whole)
    if whole is None and search and put is not None:
        return Edit(path, (Block(search, put),))
    raise _wrong("EDIT", "the tool call does not show clearly what the file is to become")


def _lost(lines: Sequence[str]) -> str:
    """What a model is told whose reply holds no action."""
    if any(_DIFF.match(line) for line in lines):
        return f"Diffs are not taken, as their line numbers seldom fit. The form is:\n\n{EDIT_FORM}"
    if any(fences.mark(line) for line in lines):
        return (
            "There is code in a fence, and no action before it. To change a file:\n\n"
            f"{EDIT_FORM}\n\nTo run a command:\n\n{FORMS['RUN']}"
        )
    return f"There is no action in the reply. Answer with one, at the start of a line:\n\n{_forms()}"
