"""Pydantic's complaints as a ticket's problems: in our words, at the place in the file.

Guarantees: every complaint becomes a problem, unless another one of the same value already says it better.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from tickets.problems import MOST_PROBLEMS, Path, Problem, did_you_mean, field_name, listed, quoted, shown
from tickets.strict_yaml import Document, Node, Place

_TYPES = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "dict_type": "a map",
    "model_type": "a map",
    "model_attributes_type": "a map",
    "dataclass_type": "a map",
    "none_required": "nothing",
}
_BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
    "multiple_of": ("multiple_of", "a multiple of"),
}
_LENGTHS = {
    "string_too_short": ("min_length", "characters", "at least"),
    "string_too_long": ("max_length", "characters", "at most"),
    "too_short": ("min_length", "items", "at least"),
    "too_long": ("max_length", "items", "at most"),
}


@dataclass(slots=True)
class _Fault:
    path: Path
    place: Place
    kind: str
    """Pydantic's name for the type of complaint."""
    error: ErrorDetails
    branch: bool
    """It comes from one alternative of a union, so that others may speak of the same value."""


def explain(
    errors: Iterable[ErrorDetails], model: type[BaseModel], document: Document, file: str, at: Path = ()
) -> list[Problem]:
    """Return the errors of `model` over the part of the document at `at` as problems, unordered."""
    faults = [_fault(error, document, at) for error in errors]
    faults = [fault for fault in faults if not _said_already(fault, document)]
    deeper = {fault.path[:end] for fault in faults for end in range(len(fault.path)) if fault.branch}
    kept: list[_Fault] = []
    wanted: dict[Path, list[str]] = {}
    for fault in faults:
        if fault.branch and fault.kind in _TYPES:
            if fault.path in deeper:
                continue  # the alternative that was meant complains of what is inside
            wanted.setdefault(fault.path, []).append(_TYPES[fault.kind])
            if len(wanted[fault.path]) > 1:
                continue
        kept.append(fault)
    kept.sort(key=lambda fault: fault.place)
    # What comes after the most that are shown is counted only, so a file of nothing but faults costs little.
    return [
        Problem(
            file, *fault.place, field_name(fault.path), _message(fault, model, wanted.get(fault.path, ()))
        )
        if rank < MOST_PROBLEMS
        else Problem(file, *fault.place, field_name(fault.path), "is wrong")
        for rank, fault in enumerate(kept)
    ]


def _fault(error: ErrorDetails, document: Document, at: Path) -> _Fault:
    """Find the place of an error. Its `loc` holds names of union branches too, which the document lacks."""
    node, path = document.root, at
    for part in at:
        node = _child(node, part)
    kind, loc = error["type"], error["loc"]
    place = _place(node, document)
    branch = False
    for index, part in enumerate(loc):
        child = _child(node, part)
        if child is not None:
            if kind == "extra_forbidden" and index == len(loc) - 1 and node is not None:
                place = node.keys.get(str(part), place)
            else:
                place = (child.line, child.column)
            node, path = child, (*path, part)
        elif kind == "missing" and index == len(loc) - 1:
            path = (*path, part)
        else:
            branch = True
    return _Fault(path, place, kind, error, branch)


def _child(node: Node | None, part: str | int) -> Node | None:
    items = node.items if node is not None else None
    if isinstance(items, dict) and isinstance(part, str):
        return items.get(part)
    if isinstance(items, list) and isinstance(part, int) and 0 <= part < len(items):
        return items[part]
    return None


def _place(node: Node | None, document: Document) -> Place:
    """Return where a value stands; what is missing altogether is missing from the document."""
    there = node or document.root
    return (there.line, there.column) if there is not None else (1, 1)


def _said_already(fault: _Fault, document: Document) -> bool:
    """Whether the value was refused before, or the complaint is about a list that lost its bad items."""
    if any(fault.path[:end] in document.holes for end in range(len(fault.path) + 1)):
        return True
    found = fault.error["input"]
    if fault.kind == "too_short" and isinstance(found, (list, dict)):
        return len(found) >= int(fault.error["ctx"]["min_length"])
    return False


def _known_keys(model: type[BaseModel], loc: tuple[str | int, ...]) -> frozenset[str]:
    """Return the keys of the models that may stand at `loc`; a part that is no field names a branch."""
    models = {model}
    for part in loc:
        fields = [
            found.annotation for known in models for key, found in _fields(known).items() if key == part
        ]
        if fields:
            models = {inner for annotation in fields for inner in _models_in(annotation)}
        elif named := {known for known in models if known.__name__ == part}:
            models = named
    return frozenset(key for known in models for key in _fields(known))


def _fields(model: type[BaseModel]) -> Mapping[str, Any]:
    return {found.alias or name: found for name, found in model.model_fields.items()}


def _models_in(annotation: Any) -> set[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    return {model for inner in get_args(annotation) for model in _models_in(inner)}


def _message(fault: _Fault, model: type[BaseModel], wanted: Iterable[str]) -> str:
    """Return 'what is wrong, what is expected' for one complaint."""
    error, found = fault.error, fault.error["input"]
    context: dict[str, Any] = error.get("ctx", {})
    expected = _TYPES.get(fault.kind)
    if expected:
        either = listed(dict.fromkeys(wanted)) if wanted else expected
        quotes = expected == "text" and isinstance(found, (bool, int, float))
        return f"is {shown(found)}, expected {either}" + ("; write it in quotes" if quotes else "")
    if fault.kind == "missing":
        return "is missing, expected it here"
    if fault.kind == "extra_forbidden":
        key = str(error["loc"][-1])
        keys = _known_keys(model, error["loc"][:-1])
        return f"is not a key known here, expected {listed(keys)}{did_you_mean(key, keys)}"
    if fault.kind in ("literal_error", "enum"):
        choices = str(context.get("expected", ""))
        near = (
            did_you_mean(found, choices.replace(" or ", ", ").replace("'", "").split(", "))
            if found and isinstance(found, str)
            else ""
        )
        return f"is {shown(found)}, expected {choices}{near}"
    if fault.kind in _BOUNDS:
        key, words = _BOUNDS[fault.kind]
        return f"is {shown(found)}, expected {words} {context[key]}"
    if fault.kind in _LENGTHS:
        key, unit, words = _LENGTHS[fault.kind]
        return f"has {len(found)} {unit}, expected {words} {context[key]}"
    if fault.kind == "finite_number":
        return f"is {shown(found)}, expected a finite number"
    if fault.kind == "string_pattern_mismatch":
        return f"is {shown(found)}, expected text that matches {context['pattern']}"
    if fault.kind in ("value_error", "assertion_error"):
        return _one_line(str(context.get("error", error["msg"])))
    return f"is {shown(found)}, expected something else: {_one_line(error['msg'])}"


def _one_line(text: str) -> str:
    return text if text.isprintable() and len(text) <= 400 else quoted(text)
