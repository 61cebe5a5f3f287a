"""Talking to the mind: its client, its host, and what is kept of what was said."""
