"""Checks of generated code that need a tool of the machine: a browser, a compiler."""
