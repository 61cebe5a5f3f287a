"""State: the journal, the views folded from it, blobs, and a person's words. No decisions."""
