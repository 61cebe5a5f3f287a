"""What a trained model is measured by: pure functions of arrays, the same numbers for the same seed.

None of them loads a model, reads a file or looks at a clock; `model.evaluate` brings models and data
together. Arrays are numpy's, rows first; every share lies between 0 and 1. Each measure stands beside a test
that feeds it something it must fail on (random labels, shuffled pairs), since a measure that cannot fail says
nothing.
"""
