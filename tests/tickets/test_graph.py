"""The graph: unknown ids and cycles are found and placed, the order can run, and depth costs no stack."""

import graphlib
import time
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from ticket_doubles import BASE, load

from tickets.graph import check_graph, order, problems


def ids(*numbers):
    return [f"TICKET-{number:03}" for number in numbers]


def graph(needs):
    return {f"TICKET-{ticket:03}": ids(*wanted) for ticket, wanted in needs.items()}


def test_a_cycle_is_shown_as_its_path_from_each_of_its_tickets():
    faults = check_graph(graph({1: [2], 2: [1], 3: [1]}), ())
    assert {(fault.ticket, fault.need) for fault in faults} == {
        ("TICKET-001", "TICKET-002"),
        ("TICKET-002", "TICKET-001"),
    }
    told = {fault.ticket: fault.message for fault in faults}
    assert "(TICKET-001 -> TICKET-002 -> TICKET-001)" in told["TICKET-001"]
    assert "(TICKET-002 -> TICKET-001 -> TICKET-002)" in told["TICKET-002"]


def test_a_ticket_that_needs_itself_is_a_cycle():
    (fault,) = check_graph(graph({1: [1]}), ())
    assert "(TICKET-001 -> TICKET-001)" in fault.message
    faults = check_graph(graph({1: [1, 2], 2: [1]}), ())
    assert {(fault.ticket, fault.need) for fault in faults} == {
        ("TICKET-001", "TICKET-001"),
        ("TICKET-001", "TICKET-002"),
        ("TICKET-002", "TICKET-001"),
    }


def test_an_id_that_nobody_has_is_an_error_and_a_broken_tickets_is_not():
    faults = check_graph(graph({1: [2, 9, 4]}), ids(1, 2, 4))
    assert [(fault.ticket, fault.need) for fault in faults] == [("TICKET-001", "TICKET-009")]
    (fault,) = check_graph({"TICKET-002": ["TICKET-1"]}, ids(1, 2))
    assert fault.message.endswith("did you mean 'TICKET-001'?")


def test_faults_stand_at_the_entry_in_the_file():
    first = load(BASE + "needs:\n  - TICKET-009\n  - TICKET-002\n", "tickets/TICKET-001.yaml")
    second = load(
        BASE.replace("code", "datagen") + "with: {recipe: a, count: 1, text: TICKET-001}\n",
        "tickets/TICKET-002.yaml",
    )
    found = problems([first, second], ids(1, 2))
    assert [str(problem).split(", expected")[0] for problem in found["TICKET-001"]] == [
        "tickets/TICKET-001.yaml:5:5: needs: is 'TICKET-009', which is no ticket",
        "tickets/TICKET-001.yaml:6:5: needs: closes a cycle (TICKET-001 -> TICKET-002 -> TICKET-001)",
    ]
    assert [(problem.line, problem.column) for problem in found["TICKET-002"]] == [(4, 35)]


def test_a_chain_of_ten_thousand_is_ordered_and_a_ring_is_found():
    count = 10_000
    chain = graph({number: [number + 1] for number in range(1, count)} | {count: []})
    began = time.process_time()
    assert check_graph(chain, ()) == []
    assert order(chain) == ids(*range(count, 0, -1))
    ring = chain | graph({count: [1]})
    faults = check_graph(ring, ())
    assert len(faults) == count
    assert max(len(fault.message) for fault in faults) < 300
    assert order(ring) == []
    hub = graph({1: range(2, count)} | {number: [1] for number in range(2, count)})
    assert {fault.ticket for fault in check_graph(hub, ())} == set(hub)
    assert time.process_time() - began < 20  # what is quadratic takes minutes


GRAPHS = st.dictionaries(st.integers(1, 9), st.lists(st.integers(1, 9), max_size=4, unique=True), max_size=9)


@settings(max_examples=400, deadline=None)
@given(GRAPHS)
def test_exactly_the_tickets_on_cycles_are_blamed_and_every_shown_cycle_is_real(numbers):
    needs = graph(numbers)

    def reachable(start):
        found, waiting = set(), list(needs.get(start, ()))
        while waiting:
            ticket = waiting.pop()
            if ticket not in found:
                found.add(ticket)
                waiting += needs.get(ticket, ())
        return found

    faults = check_graph(needs, ids(*range(1, 10)))
    assert {fault.ticket for fault in faults} == {ticket for ticket in needs if ticket in reachable(ticket)}
    for fault in faults:
        shown = fault.message.partition("(")[2].partition(")")[0].split(" -> ")
        assert shown[0] == shown[-1] == fault.ticket
        assert shown[1] == fault.need
        assert len(set(shown)) == len(shown) - 1
        assert all(after in needs[before] for before, after in pairwise(shown))


@settings(max_examples=200, deadline=None)
@given(GRAPHS)
def test_the_order_puts_each_after_its_needs_and_leaves_out_what_can_not_run(numbers):
    needs = graph(numbers)
    found = order(needs)
    assert len(set(found)) == len(found)
    for at, ticket in enumerate(found):
        assert all(need in found[:at] for need in needs[ticket] if need in needs)
    for ticket in set(needs) - set(found):
        assert any(need in needs and need not in found for need in needs[ticket])
    try:
        graphlib.TopologicalSorter(needs).prepare()
        assert len(found) == len(needs)
    except graphlib.CycleError:
        assert len(found) < len(needs)
