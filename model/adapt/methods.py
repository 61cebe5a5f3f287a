"""Working memories by task and name; a class is loaded when one is built.

What stands first is the default: the best of the table in docs/mind.md that stays below 5 % of its core.
"""

from __future__ import annotations

import importlib

from model.part import Memory, Part, Task

METHODS: dict[Task, dict[str, str]] = {
    "board": {
        "relations": "model.adapt.relations:Relations",
        "relations-alone": "model.adapt.relations:RelationsAlone",
        "lora": "model.adapt.board_adapters:Lora",
        "lora-16": "model.adapt.board_adapters:WideLora",
        "ia3": "model.adapt.board_adapters:Ia3",
        "block": "model.adapt.board_adapters:Block",
        "episodic": "model.adapt.board_adapters:BoardEpisodes",
    },
    "scene": {
        "concepts": "model.adapt.concepts:Concepts",
        "episodic": "model.adapt.episodic:Episodic",
        "lora": "model.adapt.scene_adapters:Lora",
        "ia3": "model.adapt.scene_adapters:Ia3",
        "block": "model.adapt.scene_adapters:Block",
    },
}
_PLAIN = "lora"  # of boards whose reasoner is not told of units


def names(task: Task) -> list[str]:
    """The methods of this task, the default first."""
    return list(METHODS[task])


def default(task: Task) -> str:
    """The method of a memory that nobody chose one for."""
    return names(task)[0]


def build(method: str, core: Part, seed: int = 0) -> Memory:
    """An empty memory of this method over a part; ValueError where there is none, or it does not suit.

    The default for boards, over a part that is not told of units, is a plain low-rank one.
    """
    known = METHODS[core.task]
    if method not in known:
        raise ValueError(f"no memory {method!r} for a {core.task}; there are: {', '.join(known)}")
    if core.task == "board" and method == default("board"):
        from model.adapt.relations import suits

        method = method if suits(core) else _PLAIN
    module, _, name = known[method].partition(":")
    made = getattr(importlib.import_module(module), name)(core, seed=seed)
    if not isinstance(made, Memory):
        raise ValueError(f"{method!r} is no memory")
    return made
