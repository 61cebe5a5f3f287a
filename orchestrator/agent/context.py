"""What of a repository a prompt shows: whole files while they fit, outlines of the next, a map of the rest.

Guarantees: the budget is never exceeded, by the estimate of `tokens`; a file that the ticket names is in, as
far as the budget can hold any of it; what is left out is told, with the reason; the same files and words give
the same bytes, so that a prompt's prefix stays the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.agent.outline import outline
from orchestrator.agent.query import ask
from orchestrator.agent.rank import Ranking, rank
from orchestrator.agent.repomap import Survey
from orchestrator.agent.tokens import OVERHEAD, tokens

EACH = 1_000  # tokens of the budget for each file that is shown at least in outline
FEWEST, MOST = 3, 24  # of these files
OUTLINED = 1 / 6  # of the budget goes to these first outlines together: broad, then deep
OPENED = 1 / 2  # of the budget: the most that a file gets which is too long to be whole
BODIES = 3 / 4  # of that goes to the bodies of its definitions, the rest to their first lines
MAP = 0.08  # of the budget is kept for the map
MAPPED = 400  # files of the map that are looked at
TOLD = 40  # files of which it is told that they were left out


@dataclass(frozen=True)
class Choice:
    """Parts of a prompt. `files` and `outlines` are in the order of paths, `tokens` has what each part takes.

    An outline's lines are `number: text`, numbers being those of the file.
    """

    files: Sequence[tuple[str, str]]
    outlines: Sequence[tuple[str, str]]
    map: str
    left_out: Sequence[tuple[str, int, str]]
    tokens: Mapping[str, int]

    @property
    def total(self) -> int:
        """Tokens of all parts."""
        return sum(self.tokens.values())


def choose(
    survey: Survey,
    goal: str,
    paths: Sequence[str] = (),
    constraints: Sequence[str] = (),
    budget: int = 8_000,
    *,
    commands: Sequence[str] = (),
    bytes_per_token: float = 3.2,
) -> Choice:
    """Choose what of a repository to show for a ticket.

    Args:
        survey: the repository's map.
        goal: what the ticket asks for.
        paths: globs of what it may change.
        constraints: its further sentences.
        budget: tokens of all parts together, `OVERHEAD` for each file among them.
        commands: the command lines of its checks.
        bytes_per_token: of the model, as for `tokens`.
    """
    graph = survey.graph
    query = ask(goal, constraints, commands, survey.facts, graph.defined)
    ranking = rank(survey, query, paths)
    return fill(survey, ranking, budget, bytes_per_token, frozenset(query.named))


def fill(
    survey: Survey,
    ranking: Ranking,
    budget: int,
    bytes_per_token: float = 3.2,
    named: frozenset[str] = frozenset(),
) -> Choice:
    """Fill a budget with ranked files; `named` ones are in also where nothing of their text fits."""
    return _Fill(survey, ranking, max(budget, 0), bytes_per_token, named).choice()


@dataclass
class _Fill:
    survey: Survey
    ranking: Ranking
    budget: int
    bytes_per_token: float
    named: frozenset[str]

    def cost(self, path: str, text: str) -> int:
        return tokens(path + "\n" + text, self.bytes_per_token) + OVERHEAD

    def whole_cost(self, path: str) -> int:
        """As `cost` of the whole file, from its size alone; a mark for a bad byte takes three."""
        facts = self.survey.facts[path]
        size = facts.size if facts.plain else 3 * facts.size
        return tokens(path + "\n", self.bytes_per_token) + int(size / self.bytes_per_token) + 1 + OVERHEAD

    def choice(self) -> Choice:
        order = [path for path, _ in self.ranking.files]
        room = self.budget - int(self.budget * MAP)
        files: dict[str, str] = {}
        outlines: dict[str, str] = {}
        costs: dict[str, int] = {}

        def left() -> int:
            return room - sum(costs.values())

        # Broad first: each of the best is seen. A ticket's change is rarely in one file.
        named = sum(path in self.named for path in order)
        broad = max(min(max(self.budget // EACH, FEWEST), MOST), named)
        cap = max(int(self.budget * OUTLINED / broad), 24)
        for path in order[:broad]:
            if self.plain(path) and self.whole_cost(path) <= min(1.5 * cap, left()):
                files[path] = self.survey.text(path)
                costs[path] = self.cost(path, files[path])
                continue
            text = self.outlined(path, min(cap, left()), 0)
            if text is not None:
                outlines[path], costs[path] = text, self.cost(path, text)
        # Then deep: whole files, or what of a long one answers to the words.
        deep = set(order[: 4 * broad])
        for path in order:
            if left() < 64 and len(costs) >= broad:
                break
            before = costs.get(path, 0)
            if path in files or (not before and path not in deep):
                continue
            if self.plain(path) and (need := self.whole_cost(path)) - before <= left():
                files[path] = self.survey.text(path)
                costs[path] = min(need, self.cost(path, files[path]))
                outlines.pop(path, None)
                continue
            most = min(int(self.budget * OPENED), left() + before)
            if most > before and (text := self.outlined(path, most, int(most * BODIES))) is not None:
                outlines[path], costs[path] = text, self.cost(path, text)
        mapped = self.map(order, set(costs), self.budget - sum(costs.values()))
        if mapped:
            costs["map"] = tokens(mapped, self.bytes_per_token) + OVERHEAD
        return Choice(
            sorted(files.items()), sorted(outlines.items()), mapped, self.left_out(order, set(costs)), costs
        )

    def plain(self, path: str) -> bool:
        return self.survey.facts[path].plain

    def outlined(self, path: str, most: int, opened: int) -> str | None:
        """An outline of at most `most` tokens, path and all; None when not even its first line fits."""
        inner = most - OVERHEAD - tokens(path + "\n", self.bytes_per_token) - 1
        if inner < 0:
            return None
        size = int(inner * self.bytes_per_token)
        open_size = int(opened * self.bytes_per_token)
        facts = self.survey.facts[path]
        text = outline(facts.definitions, self.survey.text(path), self.ranking.weights, size, open_size)
        return text if text or path in self.named else None

    def map(self, order: Sequence[str], shown: set[str], most: int) -> str:
        """What the other files define, best first until the room is used, then in the order of paths."""
        size = int((most - OVERHEAD - 1) * self.bytes_per_token)
        lines: dict[str, str] = {}
        rest = [path for path in order if path not in shown]
        ranked = {*rest, *shown}
        others = [path for path in self.survey.facts if path not in ranked]
        for path in (*rest[:MAPPED], *others[:MAPPED]):
            names = [d.name for d in self.survey.facts[path].definitions if d.depth == 0][:8]
            line = f"{path}: {', '.join(names)}" if names else path
            if len(line) > 160:
                line = line[:157] + "..."
            if size - len(line.encode()) - 1 < 0:
                break
            size -= len(line.encode()) + 1
            lines[path] = line
        return "\n".join(lines[path] for path in sorted(lines))

    def left_out(self, order: Sequence[str], shown: set[str]) -> list[tuple[str, int, str]]:
        """What ranked high and is not shown, and the files that could not be read."""
        found = [
            (path, self.whole_cost(path), "no room: the model can READ it")
            for path in order[: 2 * TOLD]
            if path not in shown
        ][:TOLD]
        return [*sorted(found), *((path, 0, why) for path, why in list(self.survey.left_out.items())[:TOLD])]
