"""The models: which serve which role, what they hold of the machine, and what trying them has shown."""
