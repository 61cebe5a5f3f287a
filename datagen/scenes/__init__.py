"""Procedural scenes: objects on a grid, drawn, named and asked about."""
