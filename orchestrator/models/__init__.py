"""Which model serves which role, whether it fits the machine, and who holds its memory."""
