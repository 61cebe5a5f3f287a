"""The text of a new ticket, ready to edit.

Guarantees: the text loads, whatever the goal holds; a goal that no ticket may have is refused before any file
is made.
"""

import json
import re
from typing import Any

from pydantic_core import PydanticUndefined

from tickets.kinds import KindSpec
from tickets.load import load_text
from tickets.strict_yaml import resolve

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9 ,.()/'_-]*")


def template(kind: str, goal: str, spec: KindSpec) -> str:
    """Return a ticket of a kind with a goal and what else it must have; `TicketError` for a bad goal."""
    lines = [f"kind: {scalar(kind)}", f"goal: {scalar(goal)}"]
    required, optional = _options(spec)
    if required:
        lines += ["with:", *(f"  {scalar(key)}: {flow(value)}" for key, value in required.items())]
        lines += [f"  # {scalar(key)}: {flow(value)}" for key, value in optional.items()]
    elif optional:
        lines += ["# with:", *(f"#   {scalar(key)}: {flow(value)}" for key, value in optional.items())]
    lines += ["accept:"]
    if spec.output == "change":
        lines += [
            "  - run: python -m pytest -q  # a command that exits 0 when the goal is met",
            "    # red: true  # and that has to fail without the change",
        ]
    else:
        lines += ["  - human: Does the result meet the goal?  # or a check by name, run, metric or file"]
    lines += ["# needs: [TICKET-001]"]
    if spec.output == "change":
        lines += ['# paths: ["src/**"]  # what the change may touch']
    lines += ["# budget: {time: 20m}"]
    text = "\n".join(lines) + "\n"
    load_text(text.encode(errors="surrogatepass"), "TICKET-000.yaml", {kind: spec})
    return text


def scalar(text: str) -> str:
    """Return text as a YAML scalar that reads as that text, in quotes where it needs them."""
    if _PLAIN.fullmatch(text) and text == text.strip() and isinstance(resolve(text), str):
        return text
    return json.dumps(text, ensure_ascii=False)  # a JSON string is a YAML one


def flow(value: Any) -> str:
    """Return plain data on one line of YAML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(key)}: {flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False) if re.search(r"[,\[\]{}]", value) else scalar(value)
    return json.dumps(value)


def _options(spec: KindSpec) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what must stand under `with`, and what may, each with an example.

    A field's own `examples` come first, then its default, then the plainest value of its type.
    """
    schema = spec.options.model_json_schema()
    required: dict[str, Any] = {}
    optional: dict[str, Any] = {}
    for name, field in spec.options.model_fields.items():
        key = field.alias or name
        shape = schema["properties"].get(key, {})
        if field.is_required():
            required[key] = field.examples[0] if field.examples else _plainest(shape, schema)
        elif field.examples:
            optional[key] = field.examples[0]
        elif field.default is not PydanticUndefined and isinstance(field.default, str | int | float):
            optional[key] = field.default
    return required, optional


def _plainest(shape: dict[str, Any], schema: dict[str, Any]) -> Any:
    """Return a small value of a JSON Schema's shape; what needs more thought needs the field's examples."""
    if "$ref" in shape:
        return _plainest(schema["$defs"][shape["$ref"].rpartition("/")[2]], schema)
    for key in ("examples", "enum"):
        if shape.get(key):
            return shape[key][0]
    for key in ("const", "default"):
        if key in shape:
            return shape[key]
    for key in ("anyOf", "oneOf"):
        if shape.get(key):
            return _plainest(shape[key][0], schema)
    match shape.get("type"):
        case "integer" | "number":
            return shape.get("minimum", shape.get("exclusiveMinimum", 0) + 1)
        case "boolean":
            return False
        case "array":
            return [_plainest(shape.get("items", {}), schema)] * shape.get("minItems", 0)
        case "object":
            return {key: _plainest(shape["properties"][key], schema) for key in shape.get("required", ())}
    return "TODO"
