"""Training and evaluation as the engine sees them: requests, memory, checks. Nothing of this loads torch."""
