"""Tickets: the schema, the strict loader, the life cycle and the graph. No I/O but ticket files."""
