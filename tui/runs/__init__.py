"""The runs: what trains or is made now and before, its curves, and what it leaves of the machine."""
