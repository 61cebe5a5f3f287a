"""The definitions of one source file, and which of its bytes are comments and strings, by tree-sitter.

Guarantees: broken syntax gives what could be understood of it; the work is bounded by the size of the file,
also for one that was written to be expensive; the same bytes give the same answer. `None` says that there is
no grammar for the file, or that it is too odd to be walked: a reader by lines has to do.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tree_sitter import Node, Tree

DEFINITIONS = 5_000  # of one file; more is a table, not code
SIGNATURE = 160  # characters of a signature that are shown
_SAMPLE = 1_024  # bytes between the places where a tree is looked at before it is searched
_DEEP = 1_000  # nodes above one another; a query takes time with nodes x depth
_WIDE = 4_000  # tokens side by side with no named node among them; a query looks through all for each


@dataclass(frozen=True, slots=True)
class Definition:
    """A named thing of a file: lines count from 1, both included; `depth` is how many others hold it."""

    name: str
    kind: str  # class, function or value
    line: int
    last: int
    depth: int
    signature: str


@dataclass(frozen=True)
class Parsed:
    """What a grammar saw: definitions in their order, and byte ranges of comments and strings."""

    definitions: tuple[Definition, ...]
    prose: tuple[tuple[int, int], ...]
    broken: bool = False  # some of the file did not fit the grammar


_JS = """
(function_declaration) @function (generator_function_declaration) @function (class_declaration) @class
(method_definition) @function
(variable_declarator value: [(arrow_function) (function_expression) (generator_function)]) @function
(program (lexical_declaration (variable_declarator) @value))
(program (export_statement (lexical_declaration (variable_declarator) @value)))
(comment) @prose (string) @prose (template_string) @prose
"""
_TS = """
(function_signature) @function (abstract_class_declaration) @class (interface_declaration) @class
(enum_declaration) @class (type_alias_declaration) @value (method_signature) @function
(abstract_method_signature) @function (internal_module) @class
"""
QUERIES = {
    "python": """
        (function_definition) @function (class_definition) @class
        (module (expression_statement (assignment left: (identifier)) @value))
        (class_definition body: (block (expression_statement (assignment left: (identifier)) @value)))
        (comment) @prose (string) @prose""",
    "javascript": _JS,
    "typescript": _JS + _TS,
    "tsx": _JS + _TS,
    "go": """
        (function_declaration) @function (method_declaration) @function (type_spec) @class
        (source_file (const_declaration (const_spec) @value))
        (source_file (var_declaration (var_spec) @value))
        (comment) @prose (interpreted_string_literal) @prose (raw_string_literal) @prose""",
    "java": """
        (class_declaration) @class (interface_declaration) @class (enum_declaration) @class
        (record_declaration) @class (annotation_type_declaration) @class
        (method_declaration) @function (constructor_declaration) @function (field_declaration) @value
        (line_comment) @prose (block_comment) @prose (string_literal) @prose""",
    "rust": """
        (function_item) @function (function_signature_item) @function (struct_item) @class (enum_item) @class
        (union_item) @class (trait_item) @class (impl_item) @class (mod_item) @class (type_item) @value
        (const_item) @value (static_item) @value (macro_definition) @function
        (line_comment) @prose (block_comment) @prose (string_literal) @prose (raw_string_literal) @prose""",
}  # fmt: skip
SUFFIXES = {
    ".py": "python", ".pyi": "python", ".pyw": "python",
    ".js": "javascript", ".jsx": "javascript", ".mjs": "javascript", ".cjs": "javascript",
    ".ts": "typescript", ".mts": "typescript", ".cts": "typescript", ".tsx": "tsx",
    ".go": "go", ".java": "java", ".rs": "rust",
}  # fmt: skip


def parse(language: str, data: bytes) -> Parsed | None:
    """What the grammar of a language (a key of QUERIES) sees in a file."""
    found = _tools(language)
    if found is None:
        return None
    tree = found.parse(data)
    if tree is None or _odd(tree, len(data)):
        return None
    captures = found.search(tree.root_node)
    nodes = [(node, kind) for kind in ("class", "function", "value") for node in captures.get(kind, ())]
    spans = sorted((node.start_byte, node.end_byte) for node in captures.get("prose", ()))
    return Parsed(_definitions(nodes, data), tuple(spans), tree.root_node.has_error)


@dataclass(frozen=True)
class _Tools:
    parse: Callable[[bytes], Any]
    search: Callable[[Any], dict[str, list[Any]]]


@functools.cache
def _tools(language: str) -> _Tools | None:
    """The parser and the query of a language; None where its wheel is not to be had on this machine."""
    try:
        from tree_sitter import Language, Parser, Query, QueryCursor

        grammar = Language(_pointer(language))
    except ImportError:
        return None
    query = Query(grammar, QUERIES[language])
    # A parser for each file: one may not be used by two threads.
    return _Tools(lambda data: Parser(grammar).parse(data), lambda node: QueryCursor(query).captures(node))


def _pointer(language: str) -> object:
    """The compiled grammar, imported by its own name: each is a wheel of its own."""
    import importlib

    if language in ("typescript", "tsx"):
        return getattr(importlib.import_module("tree_sitter_typescript"), f"language_{language}")()
    return importlib.import_module(f"tree_sitter_{language}").language()


def _odd(tree: Tree, size: int) -> bool:
    """Whether a query over this tree would take time out of proportion.

    Each node that is deeper than _DEEP, or has more than _WIDE bare tokens, covers more than _SAMPLE bytes,
    so that looking at every _SAMPLE-th byte finds each.
    """
    cursor = tree.walk()
    for offset in range(0, max(size, 1), _SAMPLE):
        cursor.reset(tree.root_node)
        for _ in range(_DEEP):
            node = cursor.node
            if node is None or node.child_count - node.named_child_count > _WIDE:
                return True
            if node.child_count == 0 or cursor.goto_first_child_for_byte(offset) is None:
                break
        else:
            return True
    return False


def _definitions(nodes: list[tuple[Node, str]], data: bytes) -> tuple[Definition, ...]:
    """Definitions in the order of the file; what stands inside a function is the function's own matter."""
    keyed = {(node.start_byte, -node.end_byte, kind): node for node, kind in nodes}
    found: list[Definition] = []
    open_: list[tuple[int, str]] = []  # where each that holds the next one ends, and its kind
    for (start, negative_end, kind), node in sorted(keyed.items(), key=lambda item: item[0]):
        while open_ and open_[-1][0] <= start:
            open_.pop()
        if open_ and open_[-1][1] != "class":
            continue
        name = _name(node)
        open_.append((-negative_end, kind))
        if name and len(found) < DEFINITIONS:
            first, last = node.start_point[0] + 1, node.end_point[0] + 1
            signature = _signature(node, kind, data)
            found.append(Definition(name, kind, first, last, len(open_) - 1, signature))
    return tuple(found)


def _name(node: Node) -> str:
    for field in ("name", "left", "declarator", "type"):
        named = node.child_by_field_name(field)
        if named is not None and named.type == "variable_declarator":
            named = named.child_by_field_name("name")
        if named is not None and named.text is not None:
            return named.text[:SIGNATURE].decode(errors="replace").partition("\n")[0]
    return ""


def _signature(node: Node, kind: str, data: bytes) -> str:
    """The head of a definition in one line, without its body."""
    start, end = node.start_byte, node.end_byte
    body = node.child_by_field_name("body")
    value = node.child_by_field_name("value") if body is None else None
    if value is not None:
        body = value.child_by_field_name("body")
    if body is not None:
        end = body.start_byte
        if body.type == "block" and data[end : end + 1] != b"{":  # Python: a comment may stand before it
            line = data.find(b"\n", start, end)
            ends = data[start : line if line >= 0 else end].split(b"#")[0].rstrip()
            if ends.endswith(b":"):
                end = start + len(ends)
    text = data[start : min(end, start + 8 * SIGNATURE)].decode(errors="replace")
    if kind == "value":
        text = text.partition("\n")[0]
    text = " ".join(text.split()).rstrip("{:;, ").strip()
    return text if len(text) <= SIGNATURE else text[: SIGNATURE - 3] + "..."
