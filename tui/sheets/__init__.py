"""What lies over a screen for a moment: help, commands, a line to type, a question."""
