"""How many tokens a text takes, estimated before it is sent. Every budget of a prompt is kept by this."""

from __future__ import annotations

import math

OVERHEAD = 8
"""Tokens a chat template spends on each message beside its text."""


def tokens(text: str, bytes_per_token: float = 3.2) -> int:
    """Tokens of a text, rather too many than too few.

    3.2 bytes for a token is what code takes with the tokenizers of common local models (3.0 to 3.8); prose
    takes more bytes. Bytes and not characters: a character outside ASCII is often several tokens.
    """
    return math.ceil(len(text.encode()) / bytes_per_token)
