"""The command line: each file a family of verbs. Heavy things are imported by the verb that needs them."""
