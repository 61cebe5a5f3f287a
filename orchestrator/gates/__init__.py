"""Gates: built-in checks of generated code. Each runs in the ticket's sandbox, in a clean checkout.

`gate.py` is the engine's side: which gates there are, how one is started, what its exit means. The other
modules run inside, as programs of their own, by the standard library alone.
"""
