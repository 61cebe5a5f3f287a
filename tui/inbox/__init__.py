"""What waits for a person, and the way to decide about it."""
