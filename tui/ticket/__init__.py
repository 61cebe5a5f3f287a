"""One ticket: its tree, and what each part of it gave."""
