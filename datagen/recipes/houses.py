"""Errands in a house of rooms and locked doors: a goal, and the tree of steps that reaches it.

Rooms form a tree, so that there is one shortest way between two of them, and each key lies where it can be
reached: every world is consistent and has exactly one plan under the rules that the task states.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from datagen.recipes.graphs import graph_form
from datagen.recipes.problem import Problem, listing, tree, upper
from datagen.rng import Rng

_ROOMS: tuple[str, ...] = (
    "hall",
    "pantry",
    "cellar",
    "attic",
    "workshop",
    "library",
    "kitchen",
    "studio",
    "garden",
    "garage",
)
_ROOMS += ("laundry", "office", "nursery", "chapel", "stable", "greenhouse", "gallery", "archive", "armoury")
_ROOMS += ("bakery", "forge", "boiler room", "tower", "courtyard", "dairy", "lounge", "storeroom", "veranda")
_LOOKS: tuple[str, ...] = (
    "copper",
    "wooden",
    "red",
    "blue",
    "silver",
    "old",
    "small",
    "heavy",
    "green",
    "painted",
    "cracked",
)
_LOOKS += ("woven", "white", "black", "striped", "round", "golden", "dusty", "new", "yellow")
_THINGS: tuple[str, ...] = (
    "kettle",
    "lamp",
    "basket",
    "chair",
    "mirror",
    "flute",
    "hammer",
    "bowl",
    "clock",
    "book",
    "rope",
)
_THINGS += ("ladder", "vase", "blanket", "crate", "bell", "saw", "globe", "drum", "map", "bucket", "statue")
_METALS = ("brass", "iron", "bronze", "tin", "steel", "nickel")
_ACTORS: tuple[str, ...] = (
    "Ada",
    "Boris",
    "Carmen",
    "Diego",
    "Elif",
    "Femi",
    "Greta",
    "Hugo",
    "Imani",
    "Jonas",
    "Keiko",
)
_ACTORS += ("Liam", "Mara", "Nuno", "the robot", "the porter", "the apprentice", "the caretaker")

Door = frozenset[int]


@dataclass
class _House:
    """Rooms 0 to n - 1 as a tree (room i > 0 hangs on parent[i]); locked doors and where their keys lie."""

    names: list[str]
    parent: list[int]
    locks: dict[Door, str] = field(default_factory=dict)
    lies_in: dict[str, int] = field(default_factory=dict)

    def way(self, here: int, there: int) -> list[int]:
        """The rooms from here to there, both included."""
        up, down = self._to_root(here), self._to_root(there)
        while len(up) > 1 and len(down) > 1 and up[-2] == down[-2]:
            up.pop()
            down.pop()
        return [*up, *down[-2::-1]]

    def _to_root(self, room: int) -> list[int]:
        rooms = [room]
        while rooms[-1]:
            rooms.append(self.parent[rooms[-1]])
        return rooms

    def below(self, room: int) -> set[int]:
        """The room and all that hang on it."""
        return {other for other in range(len(self.parent)) if room in self._to_root(other)}


class _Plan:
    """Steps with their substeps, built by walking through a house."""

    def __init__(self, house: _House, here: int) -> None:
        self.house, self.here = house, here
        self.opened: set[Door] = set()
        self.steps: list[tuple[str, list[str]]] = []
        self.thoughts: list[str] = []

    def fetch(self, thing: str) -> None:
        """Get a thing, and before it the keys that the way to it needs."""
        room = self.house.lies_in[thing]
        self._open_way(room, f"The {thing} lies in the {self.house.names[room]}.")
        self.steps.append((f"Get the {thing}", [*self._walk(room), f"Take the {thing}."]))

    def bring(self, thing: str, room: int) -> None:
        """Carry a thing that was fetched to a room."""
        name = self.house.names[room]
        self._open_way(room, f"The {thing} must come to the {name}.")
        self.steps.append((f"Bring the {thing} to the {name}", [*self._walk(room), f"Put down the {thing}."]))

    def _open_way(self, room: int, why: str) -> None:
        way = self.house.way(self.here, room)
        names = [self.house.names[each] for each in way]
        self.thoughts.append(f"{why} The way there: {' - '.join(names)}.")
        for door in map(frozenset, itertools.pairwise(way)):
            key = self.house.locks.get(door)
            if key and door not in self.opened:
                self.thoughts.append(f"{self._door(door)} is locked: the {key} is needed first.")
                self.opened.add(door)
                self.fetch(key)

    def _walk(self, room: int) -> Iterator[str]:
        way = self.house.way(self.here, room)
        for one, other in itertools.pairwise(way):
            door = frozenset((one, other))
            key = self.house.locks.pop(door, None)
            if key:
                text = self._door(door)
                yield f"Unlock {text[0].lower()}{text[1:]} with the {key}."
            yield f"Go from the {self.house.names[one]} to the {self.house.names[other]}."
        self.here = room

    def _door(self, door: Door) -> str:
        one, other = sorted(self.house.names[room] for room in door)
        return f"The door between the {one} and the {other}"


def deliver(rng: Rng, difficulty: int) -> Problem:
    """Bring one thing to a room; from difficulty 2 on behind one or two locked doors."""
    house = _house(rng, difficulty + 4)
    last = len(house.names) - 1
    thing = _things(rng, 1)[0]
    for metal in rng.sample(_METALS, min(2, difficulty // 2)):
        _lock(rng, house, f"{metal} key")
    # A thing behind the last lock makes the lock matter; without locks any room but the start will do.
    locked = [max(door) for door in house.locks]
    house.lies_in[thing] = rng.choice(sorted(house.below(locked[-1]))) if locked else rng.between(1, last)
    goal = rng.choice([room for room in range(last + 1) if room != house.lies_in[thing]])
    return _house_problem(rng, "deliver", house, [(thing, goal)])


def tidy(rng: Rng, difficulty: int) -> Problem:
    """Bring several things to their rooms, in the order given, one at a time."""
    house = _house(rng, difficulty + 3)
    rooms = range(len(house.names))
    errands = []
    for thing in _things(rng, 1 + (difficulty + 1) // 2):
        place, goal = rng.sample(rooms, 2)
        house.lies_in[thing] = place
        errands.append((thing, goal))
    if difficulty >= 4:
        _lock(rng, house, f"{rng.choice(_METALS)} key")
    return _house_problem(rng, "tidy", house, errands)


def _house(rng: Rng, rooms: int) -> _House:
    return _House(rng.sample(_ROOMS, rooms), [0, *(rng.below(room) for room in range(1, rooms))])


def _things(rng: Rng, count: int) -> list[str]:
    looks = [rng.choice(_LOOKS) for _ in range(count)]
    return [f"{look} {thing}" for look, thing in zip(looks, rng.sample(_THINGS, count), strict=True)]


def _lock(rng: Rng, house: _House, key: str) -> None:
    """Lock a door whose near side is open so far, with the key on the near side of every door locked."""
    shut = set().union(*(house.below(max(door)) for door in house.locks))
    # Room numbers grow away from room 0, so the larger number of a door is its far side.
    far = rng.choice([room for room in range(1, len(house.names)) if room not in shut] or [1])
    door = frozenset((far, house.parent[far]))
    if door in house.locks:
        return
    house.locks[door] = key
    behind = shut | house.below(far)
    house.lies_in[key] = rng.choice([room for room in range(len(house.names)) if room not in behind])


def _house_problem(rng: Rng, task: str, house: _House, errands: list[tuple[str, int]]) -> Problem:
    actor = rng.choice(_ACTORS)
    facts = [f"{upper(actor)} is in the {house.names[0]}."]
    facts += [f"The {t} lies in the {house.names[room]}." for t, room in sorted(house.lies_in.items())]
    for room in range(1, len(house.names)):
        one, other = rng.shuffled((house.names[room], house.names[house.parent[room]]))
        key = house.locks.get(frozenset((room, house.parent[room])))
        lock = f" behind a locked door that the {key} opens" if key else ""
        facts.append(f"The {one} is next to the {other}{lock}.")
    goals = [f"the {thing} to the {house.names[goal]}" for thing, goal in errands]
    goal = f"bring {listing(goals)}"
    ask = rng.choice(
        [
            "{facts} Goal: {goal}. Write the steps and substeps for {actor}, the shortest way each time.",
            "{facts} What must {actor} do, step by step, to {goal}? Take the shortest way each time.",
            "{actor_up} has to {goal}. {facts} Break this down into steps and substeps, by shortest ways.",
        ]
    )
    order = " Carry out one errand after the other, in the order given." if len(errands) > 1 else ""
    if house.locks:
        order += " Get the keys that a way needs before setting out on it, in the order of its doors."
    canonical = _house_form(house, errands)  # before the plan, which opens the locks
    text = ask.format(facts=" ".join(rng.shuffled(facts)), goal=goal, actor=actor, actor_up=upper(actor))
    plan = _Plan(house, 0)
    for thing, room in errands:
        plan.fetch(thing)
        plan.bring(thing, room)
    return Problem(
        task=task,
        canonical=canonical,
        input=text + order,
        target=tree(goal, plan.steps),
        cot="\n".join(plan.thoughts),
    )


def _house_form(house: _House, errands: list[tuple[str, int]]) -> str:
    """The house without its names: equal for two houses that differ in names and in numbering only."""
    marks: dict[int, list[str]] = {0: ["start"]}
    for number, (thing, goal) in enumerate(errands):
        marks.setdefault(house.lies_in[thing], []).append(f"thing {number}")
        marks.setdefault(goal, []).append(f"goal {number}")
    edges = set()
    for room in range(1, len(house.names)):
        door = frozenset((room, house.parent[room]))
        edges |= {(room, house.parent[room]), (house.parent[room], room)}
        if key := house.locks.get(door):  # a node for the lock, tied to both rooms and to its key's room
            node = len(house.names) + room
            marks[node] = ["lock"]
            edges |= {(node, room), (node, house.parent[room]), (house.lies_in[key], node)}
    return graph_form(edges, {node: " ".join(sorted(words)) for node, words in marks.items()})
