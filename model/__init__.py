"""The model wing: it imports nothing of the other rooms and runs in a child process."""
