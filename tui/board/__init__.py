"""The board: six columns of cards, drawn by one widget."""
