"""The built-in recipes; each is an entry of the group `jetbox.recipes`."""
