"""The graph that `needs` spans: what in it can never run, and in which order the rest can.

Guarantees: pure, and iterative throughout, so that a chain of ten thousand tickets costs no stack. Every
ticket that stands on a cycle gets a fault of its own, which shows a cycle through it and the entry to change.
"""

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from tickets.load import Loaded
from tickets.problems import Problem, quoted

Needs = Mapping[str, Sequence[str]]

_SHOWN = 12
"""Ids of a cycle that a message spells out; nobody follows a longer one by eye."""


@dataclass(frozen=True, slots=True)
class GraphFault:
    """A need that can't be met: of which ticket, which entry, and why."""

    ticket: str
    need: str
    message: str


def check_graph(needs: Needs, known: Collection[str]) -> list[GraphFault]:
    """Return the needs that name no ticket and those that close a cycle.

    `known` are all ids that exist, whether their files load or not: to need a broken ticket is to wait.
    """
    numbers = {int(ticket.rpartition("-")[2]): ticket for ticket in known}
    faults: list[GraphFault] = []
    for ticket, wanted in needs.items():
        for need in dict.fromkeys(wanted):
            if need not in known and need not in needs:
                near = numbers.get(int(need.rpartition("-")[2]))
                hint = f"; did you mean {near!r}?" if near else ""
                message = f"is {quoted(need)}, which is no ticket, expected the id of one{hint}"
                faults.append(GraphFault(ticket, need, message))
    for cycle in _cycles(needs):
        for at, ticket in enumerate(cycle):
            round_trip = " -> ".join(_walk(cycle, at))
            message = f"closes a cycle ({round_trip}), expected one of these needs gone"
            faults.append(GraphFault(ticket, cycle[(at + 1) % len(cycle)], message))
    # Cycles through one ticket may share an entry; the first one found speaks for it.
    return list({(fault.ticket, fault.need): fault for fault in reversed(faults)}.values())[::-1]


def problems(tickets: Iterable[Loaded], known: Collection[str]) -> dict[str, tuple[Problem, ...]]:
    """Return the faults of the graph at their places in the files, by ticket; only tickets that have any."""
    loaded = {ticket.id: ticket for ticket in tickets}
    found: dict[str, list[Problem]] = {}
    for fault in check_graph({id: ticket.needs for id, ticket in loaded.items()}, known):
        ticket = loaded[fault.ticket]
        place = ticket.needs_at[fault.need]
        found.setdefault(fault.ticket, []).append(Problem(ticket.path, *place, "needs", fault.message))
    return {id: tuple(sorted(each, key=lambda p: (p.line, p.column))) for id, each in found.items()}


def order(needs: Needs) -> list[str]:
    """Return the tickets so that each stands after all it needs, by number where that leaves a choice.

    Tickets on a cycle, and those that wait for one, are left out; needs outside of the map count as met.
    """
    waits = {ticket: {need for need in wanted if need in needs} for ticket, wanted in needs.items()}
    waited_by: dict[str, list[str]] = {}
    for ticket, wanted in waits.items():
        for need in wanted:
            waited_by.setdefault(need, []).append(ticket)
    open_needs = {ticket: len(wanted) for ticket, wanted in waits.items()}
    ready = [(_number(ticket), ticket) for ticket, count in open_needs.items() if not count]
    heapify(ready)
    done: list[str] = []
    while ready:
        _, ticket = heappop(ready)
        done.append(ticket)
        for waiting in waited_by.get(ticket, ()):
            open_needs[waiting] -= 1
            if not open_needs[waiting]:
                heappush(ready, (_number(waiting), waiting))
    return done


def _number(ticket: str) -> int:
    return int(ticket.rpartition("-")[2])


def _walk(cycle: Sequence[str], at: int) -> Iterator[str]:
    """Yield a cycle from one of its tickets back to it, its middle left out where it is long."""
    length = len(cycle)
    for step in range(min(length, _SHOWN)):
        yield cycle[(at + step) % length]
    if length > _SHOWN:
        yield f"... {length - _SHOWN} more ..."
    yield cycle[at]


def _cycles(needs: Needs) -> Iterator[list[str]]:
    """Yield cycles such that each ticket on any cycle is on one of these."""
    for component in _components(needs):
        members = set(component)
        root = component[0]
        edges = {ticket: [need for need in needs[ticket] if need in members] for ticket in component}
        yield from ([ticket] for ticket in component if ticket in edges[ticket])
        if len(component) == 1:
            continue
        back: dict[str, list[str]] = {ticket: [] for ticket in component}
        for ticket, wanted in edges.items():
            for need in wanted:
                back[need].append(ticket)
        # From the root to each ticket, and from each ticket to the root, along shortest paths.
        before, after = _tree(root, edges), _tree(root, back)
        covered: set[str] = set()
        for ticket in [*component[1:], root]:
            if ticket not in covered:
                beside = next(need for need in edges[ticket] if need != ticket)
                cycle = _through(beside if ticket == root else ticket, before, after)
                covered.update(cycle)
                yield cycle


def _tree(root: str, edges: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return for each ticket the one it was reached from, breadth first."""
    reached = {root: root}
    queue = deque([root])
    while queue:
        ticket = queue.popleft()
        for need in edges[ticket]:
            if need not in reached:
                reached[need] = ticket
                queue.append(need)
    return reached


def _through(ticket: str, before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Return a cycle through a ticket: on towards the root until the way that led from the root is met."""
    came: dict[str, str] = {}  # each ticket on the way from the root, and the one after it
    step = ticket
    while before[step] != step:
        came[before[step]] = step
        step = before[step]
    cycle = [ticket]
    step = after[ticket]
    while step not in came:
        cycle.append(step)
        step = after[step]
    while step != ticket:
        cycle.append(step)
        step = came[step]
    return cycle


def _components(needs: Needs) -> Iterator[list[str]]:
    """Yield the strongly connected components (Tarjan's algorithm, with a stack of its own)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    for start in sorted(needs, key=_number):
        if start in index:
            continue
        work = [(start, iter(needs[start]))]
        index[start] = low[start] = len(index)
        stack.append(start)
        on_stack.add(start)
        while work:
            ticket, rest = work[-1]
            for need in rest:
                if need not in needs:
                    continue
                if need not in index:
                    index[need] = low[need] = len(index)
                    stack.append(need)
                    on_stack.add(need)
                    work.append((need, iter(needs[need])))
                    break
                if need in on_stack:
                    low[ticket] = min(low[ticket], index[need])
            else:
                work.pop()
                if work:
                    parent = work[-1][0]
                    low[parent] = min(low[parent], low[ticket])
                if low[ticket] == index[ticket]:
                    component = [stack.pop()]
                    while component[-1] != ticket:
                        component.append(stack.pop())
                    on_stack.difference_update(component)
                    yield component[::-1]
