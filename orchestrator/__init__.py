"""The engine, its kinds, checks and landing, and the command line. Imports neither the cockpit nor torch."""
