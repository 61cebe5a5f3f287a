"""The Lab: try the core and its memories, look at how an answer came about, correct it, and go back."""
