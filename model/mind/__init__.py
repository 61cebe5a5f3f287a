"""The process that answers: a sealed version of the core, the memories beside it, and the protocol."""
