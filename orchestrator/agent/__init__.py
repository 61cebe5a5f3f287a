"""The coding agent: what is asked of a model, what its answers mean, and when it is stuck."""
