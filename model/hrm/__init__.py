"""The reasoner: a small recurrent network that refines an answer until it says that it is done."""
