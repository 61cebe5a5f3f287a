"""The kinds of tickets. Each is an entry point in the group `jetbox.kinds`, the built-in ones too."""
