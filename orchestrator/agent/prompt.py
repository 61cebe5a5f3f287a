"""From a recorded conversation to the messages of the next call, and the account of what each part costs.

Pure, and a function of what is recorded alone, so that a prompt can be made again byte for byte. The front
of it never changes within an attempt (rules, task, plan, map, files); what happens is only ever added at the
end, so that a server's prefix cache serves nearly all of it. Where it grows too long the oldest turns are
left out, many at once and then none for a while, which costs the cache as seldom as can be; that is said in
the prompt and in the account.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.actions import Call
from orchestrator.agent.output import shown
from orchestrator.agent.tokens import OVERHEAD, tokens
from orchestrator.agent.turns import Item, Talk
from orchestrator.attempt import Attempt
from orchestrator.checks import BUILT_IN, Check
from orchestrator.models.base import Chosen
from orchestrator.providers.base import Message

BACKGROUND = 8_000
"""Tokens of files and map at most: 8k to 16k in all is where small models still follow."""

LEAST = 512
"""Tokens that a reply needs at least: one small edit."""

_KEPT = 0.6  # of the room that history keeps when old turns are left out
_FRONT = 0.7  # of the room that rules, task, map and files may take before map and files are left out
_HEAD = 300  # tokens kept for the last lines, so that where history is cut does not hang on their length
_PART = 3  # an output gets this part of the room at most
_LONGEST_REPLY = 1_500  # characters of a reply that was of no use, shown back

Read = Callable[[str], bytes]
"""A blob by its name."""


@dataclass(frozen=True)
class Background:
    """What is shown of the repository, chosen once for an attempt."""

    map: str = ""
    files: tuple[tuple[str, str], ...] = ()
    outlines: tuple[tuple[str, str], ...] = ()
    left_out: tuple[tuple[str, int, str], ...] = ()  # name, tokens, why


@dataclass
class Ledger:
    """What each part of one prompt costs, in estimated tokens, and what was left out and why."""

    model: str
    context: int
    budget: int
    parts: list[tuple[str, int]] = field(default_factory=list)
    left_out: list[tuple[str, int, str]] = field(default_factory=list)

    @property
    def estimated(self) -> int:
        """All of it."""
        return sum(cost for _, cost in self.parts)

    def body(self) -> dict[str, Any]:
        """As the fronts read it."""
        return {
            "v": 1,
            "model": self.model,
            "context": self.context,
            "budget": self.budget,
            "estimated": self.estimated,
            "parts": [{"name": name, "tokens": cost} for name, cost in self.parts],
            "left_out": [{"name": name, "tokens": cost, "why": why} for name, cost, why in self.left_out],
        }


def room(chosen: Chosen, more: bool, tighter: int) -> tuple[int, int]:
    """Tokens of the reply at most, and of the prompt.

    A reply gets a quarter of the context, half of it where the model is to think; of the rest a tenth is kept
    for what the estimate may be wrong by, and a quarter each time the server turned out to have less.
    """
    most = min(8_192, chosen.context // 2) if more else min(4_096, chosen.context // 4)
    return most, int((chosen.context - most) * 0.9 * 0.75**tighter)


def background_budget(chosen: Chosen) -> int:
    """Tokens of files and map; of the context alone, so that it stays the same from turn to turn.

    Two fifths of what rules and task leave, so that a small context has room for turns: 640 tokens of 4k,
    2,300 of 8k, 5,500 of 16k.
    """
    return max(400, min(BACKGROUND, int((chosen.context - 2_500) * 0.4)))


@dataclass(frozen=True)
class Prompt:
    """The messages of a call, and their account."""

    messages: tuple[Message, ...]
    ledger: Ledger


def build(
    attempt: Attempt,
    said: Talk,
    call: Call,
    checks: Sequence[Check],
    rules: str,
    background: Background,
    chosen: Chosen,
    read: Read,
) -> Prompt:
    """The prompt of one call.

    Args:
        attempt: with its spec.
        said: the conversation before the call.
        call: what is asked for now.
        checks: of the ticket.
        rules: the persona's system prompt.
        background: what is shown of the repository.
        chosen: who is asked.
        read: gives recorded replies and outputs.
    """
    _, budget = room(chosen, call.more, call.tighter)
    _, usual = room(chosen, False, 0)
    ledger = Ledger(chosen.model, chosen.context, budget)

    def cost(text: str) -> int:
        return tokens(text, chosen.bytes_per_token)

    task = _task(attempt, checks)
    if call.purpose == "act" and _parts(attempt, said):
        task = f"{task}\n\n{_plan(said)}"
    shown_map = f"# The repository\n\n{background.map}" if background.map else ""
    files = "\n\n".join(_file(path, text) for path, text in (*background.outlines, *background.files))
    ledger.left_out += background.left_out
    if cost(rules) + cost(task) + cost(shown_map) + cost(files) > usual * _FRONT:
        taken = (("repository map", shown_map), ("files", files))
        ledger.left_out += [(name, cost(text), "the task leaves no room") for name, text in taken if text]
        shown_map = files = ""
    front = [part for part in (task, shown_map, files) if part]
    ledger.parts = [
        ("rules", cost(rules) + OVERHEAD),
        ("task and plan", cost(task)),
        ("repository map", cost(shown_map)),
        ("files", cost(files) + OVERHEAD),
    ]
    longest = int(usual / _PART * chosen.bytes_per_token)
    planning = call.purpose != "act"
    story = _planning(said, read) if planning else _story(attempt, said, call, read, longest)
    left = budget - ledger.estimated - _HEAD - cost(story.before)
    sizes = [
        cost(reply) + cost(answer) + cost(head_) + 2 * OVERHEAD
        for (reply, answer), head_ in zip(story.turns, story.heads, strict=False)
    ]
    cut = first_kept(sizes, left)
    if cut:
        front.append(f"(Your first {cut} turns are left out here; what they changed stands in the files.)")
        ledger.left_out.append((f"turns 1 to {cut}", sum(sizes[:cut]), "the context is full"))
    messages = [Message("system", rules)]
    user = "\n\n".join(part for part in (*front, story.before, story.heads[cut]) if part)
    for (reply, answer), head_ in zip(story.turns[cut:], story.heads[cut + 1 :], strict=True):
        messages += [Message("user", user), Message("assistant", reply)]
        user = "\n\n".join(part for part in (answer, head_) if part)
    messages.append(Message("user", user))
    ledger.parts += [
        ("replies", sum(cost(reply) + OVERHEAD for reply, _ in story.turns[cut:])),
        ("observations", sum(cost(answer) + OVERHEAD for _, answer in story.turns[cut:-1])),
        ("newest observation", cost(user) if story.turns else cost(story.heads[-1])),
    ]
    return Prompt(tuple(messages), ledger)


def first_kept(sizes: Sequence[int], left: int) -> int:
    """How many of the oldest turns are left out, as it has come to be turn by turn.

    When they no longer fit, as many go as leave `_KEPT` of the room: the front then stays for a while.
    """
    cut, total = 0, 0
    for index, size in enumerate(sizes):
        total += size
        if total > left:
            while cut < index and total > left * _KEPT:
                total -= sizes[cut]
                cut += 1
    return cut


# The front ------------------------------------------------------------------------------------------


def _task(attempt: Attempt, checks: Sequence[Check]) -> str:
    spec = attempt.spec
    lines = ["# Task", "", str(spec["goal"])]
    if notes := spec.get("notes"):
        lines += ["", str(notes)]
    if constraints := spec.get("constraints"):
        lines += ["", "Constraints:", *(f"- {line}" for line in constraints)]
    if paths := spec.get("paths"):
        lines += ["", "You may change only: " + ", ".join(paths)]
    lines += ["", "It is accepted when all of these hold:"]
    for check in checks:
        red = " (it fails now, and must pass)" if check.red else ""
        lines.append(f"- {_wanted(check)}{red}")
    if attempt.comment:
        lines += ["", "Said about the attempt before this one:", attempt.comment]
    return "\n".join(lines)


def _wanted(check: Check) -> str:
    if check.run:
        return f"`{check.run}` exits 0"
    if check.built_in in BUILT_IN:
        return f"{check.name}: {BUILT_IN[check.built_in]}"
    return f"{check.name} holds `{check.contains}`" if check.contains else check.name


def _parts(attempt: Attempt, said: Talk) -> bool:
    """Whether the plan says more than the goal does."""
    return len(said.plan) > 1 or (bool(said.plan) and said.plan[0].title != attempt.spec["goal"])


def _plan(said: Talk) -> str:
    lines = [
        f"{number}. {part.title}" + (f" (shown by `{part.probe}`)" if part.probe else "")
        for number, part in enumerate(said.plan, 1)
    ]
    return "\n".join(("# Plan", "", *lines))


def _file(path: str, text: str) -> str:
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{path}\n{fence}\n{text.rstrip()}\n{fence}"


# The history ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Story:
    """Replies with what came of each; a head before each reply, and the one of the call to come."""

    turns: tuple[tuple[str, str], ...]
    heads: tuple[str, ...]  # one more than turns
    before: str = ""  # what was said before the first reply


def _planning(said: Talk, read: Read) -> Story:
    """What the planner and the critic have said to each other, seen by both alike."""
    turns: list[tuple[str, str]] = []
    heads = ["Make the plan."]
    for item in said.planning:
        result = item.result
        text = _text(read, result.get("reply"))
        useful = "plan" in result or "verdict" in result
        turns.append(
            (text if useful else text[:_LONGEST_REPLY] or "(nothing)", "" if useful else _useless(result))
        )
        if result["purpose"] == "plan":
            heads.append("Criticise this plan." if useful else "Make the plan.")
        else:
            heads.append("Make the plan again, so that these findings are met.")
    return Story(tuple(turns), tuple(heads))


def _story(attempt: Attempt, said: Talk, call: Call, read: Read, longest: int) -> Story:
    """The coder's turns; `longest` is how many bytes of one output are shown."""
    replies: list[str] = []
    answers: list[list[str]] = [[]]  # the first: what was said before the first reply
    heads: list[str] = []
    for item in said.items:
        if item.sort == "call":
            replies.append(_reply(item, read))
            heads.append(str(item.result["head"]))
            answers.append(_claimed(attempt, said, item, read))
        else:
            answers[-1] += _came(item, read, longest)
    turns = tuple((reply, "\n\n".join(parts)) for reply, parts in zip(replies, answers[1:], strict=True))
    return Story(turns, (*heads, head(attempt, said, call)), "\n\n".join(answers[0]))


def head(attempt: Attempt, said: Talk, call: Call) -> str:
    """The last lines of a prompt: where in the goal the turn is, and what the ladder has to say."""
    where = f"[{attempt.spec['goal']}"
    if _parts(attempt, said):
        of = f" of {len(said.plan)}" if call.subtask <= len(said.plan) else ""
        where += f" > subtask {call.subtask}{of}: {call.about}"
    lines = [f"{where} > turn {call.number}]"]
    if call.why:
        lines.append(call.why)
    lines.append("Your next action:")
    return "\n".join(lines)


def _reply(item: Item, read: Read) -> str:
    text = _text(read, item.result.get("reply"))
    if "verb" in item.result:
        return text
    return text[:_LONGEST_REPLY] or "(nothing)"


def _claimed(attempt: Attempt, said: Talk, item: Item, read: Read) -> list[str]:
    """What the reply alone leads to: its fault, or what is known of the tree that it holds to be done."""
    result = item.result
    if "verb" not in result:
        return [_useless(result)]
    if result["verb"]["verb"] != "done":
        return []
    tree = str(result.get("tree") or "")
    if not tree:
        return ["No file has been changed yet."]
    if outside := said.outside(item.seq):
        return [_TAKE_BACK.format(", ".join(outside))]
    after = next((i.seq for i in said.items if i.sort == "call" and i.seq > item.seq), None)
    known = [
        each
        for each in said.items
        if each.sort in ("probe", "check") and f":{tree}:" in each.key and (after is None or each.seq < after)
    ]
    lines = [
        _evidence(each, read) for each in known if each.seq < item.seq
    ]  # those after it come by themselves
    return ["Nothing has changed since these were taken:", *lines] if lines else []


def _came(item: Item, read: Read, longest: int) -> list[str]:
    """What happened after a reply."""
    result = item.result
    match item.sort:
        case "act":
            return [_shortened(_text(read, result["observation"]), longest), *_not_allowed(item)]
        case "probe" | "check":
            return [_shortened(_evidence(item, read), longest)]
        case "answer":
            return [f"The person was asked: {result['question']}\nThe person answers: {result['text']}"]
        case "comment":
            return [f"The person says: {result['text']}"]
        case "denied":
            return [f"The person does not accept the change: {result['text']}"]
        case "adopt":
            files = ", ".join(result.get("changed") or ()) or "no file"
            said = f"The person has worked in the worktree meanwhile and changed: {files}."
            return [f"{said} READ before you edit.", *_not_allowed(item)]
        case "back":
            return ["The files are back as they were when most checks held. Take a smaller step from there."]
    return []


def _not_allowed(item: Item) -> list[str]:
    outside = item.result.get("outside")
    return [_TAKE_BACK.format(", ".join(outside))] if outside else []


def _shortened(text: str, longest: int) -> str:
    """A text of which a small context could not hold all: its beginning and its end."""
    data = text.encode()
    if len(data) <= longest:
        return text
    head, tail = data[: longest * 2 // 3], data[-(longest // 3) :]
    left = f"\n... ({len(data) - len(head) - len(tail)} bytes left out: ask for less at once) ...\n"
    return head.decode("utf-8", "ignore") + left + tail.decode("utf-8", "ignore")


def _evidence(item: Item, read: Read) -> str:
    result = item.result
    if why := result.get("skipped"):
        return f"`{result['name']}`: could not be taken here: {why}"
    if item.ok:
        return f"`{result['name']}`: holds"
    output = shown(read(str(result["output"]))) if result.get("output") else ""
    said = f"`{result['name']}`: {result['summary']}"
    return f"{said}\n```\n{output}\n```" if output else said


_TAKE_BACK = "You may not change {}: take that back before you say DONE."

_FAILED = {
    "length": "Your reply was cut off at its limit, so nothing of it was done. Answer in fewer words: for a"
    " large file use SEARCH/REPLACE blocks, one small change at a time.",
    "empty": "Your reply was empty. Answer with one action.",
    "chant": "Your reply repeated itself without end and was cut off. Answer with one short action.",
    "truncated": "The conversation had become too long; older turns are left out. Answer with one action.",
}


def _useless(result: Mapping[str, Any]) -> str:
    """What a model is told of a reply that could not be used."""
    if malformed := result.get("malformed"):
        return str(malformed)
    return _FAILED.get(str(result.get("failed")), "Your reply could not be used. Answer with one action.")


def _text(read: Read, blob: Any) -> str:
    return read(str(blob)).decode("utf-8", "replace").strip() if blob else ""
