"""One JSON Schema (draft 2020-12) of the ticket, for editors that complete and check while one writes.

Guarantees: what the loader accepts, the schema accepts. The schema can't say everything that the loader
checks (cron lines, cycles, names of checks), so the reverse is not promised.
"""

from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from tickets.kinds import KindSpec
from tickets.schema import Ticket


class _NoNulls(GenerateJsonSchema):
    """In a ticket an absent key is left out; None is only how the models say so."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        if schema.get("default", ...) is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)


def ticket_schema(kinds: Mapping[str, KindSpec]) -> dict[str, Any]:
    """Return the schema of a ticket of any of these kinds; what `with` may hold follows from the `kind`."""
    schema = Ticket.model_json_schema(schema_generator=_NoNulls)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    definitions = schema.setdefault("$defs", {})
    rules: list[dict[str, Any]] = []
    for name, spec in sorted(kinds.items()):
        # Each kind's definitions stay inside its own, so that two kinds may use one name.
        definitions[f"with-{name}"] = spec.options.model_json_schema(
            ref_template=f"#/$defs/with-{name}/$defs/{{model}}"
        )
        then: dict[str, Any] = {"properties": {"with": {"$ref": f"#/$defs/with-{name}"}}}
        if any(field.is_required() for field in spec.options.model_fields.values()):
            then["required"] = ["with"]
        rules.append(_when_kind(name, then))
    opinion = {"type": "object", "anyOf": [{"required": ["judge"]}, {"required": ["human"]}]}
    rules.append(_when_kind("code", {"properties": {"accept": {"contains": {"not": opinion}}}}))
    schema["properties"]["kind"] |= {"enum": sorted(kinds)}
    schema["allOf"] = rules
    return schema


def _when_kind(name: str, then: dict[str, Any]) -> dict[str, Any]:
    return {"if": {"properties": {"kind": {"const": name}}, "required": ["kind"]}, "then": then}
