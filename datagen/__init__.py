"""The data wing: synthetic data by seed. It imports no other room and runs in a child process."""
