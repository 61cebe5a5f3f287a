"""Puzzles with exactly one answer, made by compiled loops: Sudoku, mazes; sums and logic in plain numpy."""
