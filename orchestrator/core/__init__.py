"""The core: taking trained models into it, proposing an update, putting an approved one into force."""
