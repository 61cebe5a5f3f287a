"""The cockpit: Textual screens over the views of `state`. No git, no models, no ticket execution."""
