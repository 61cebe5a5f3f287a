"""How far an answer can be trusted: consistency over cycles and over variants, and calibration."""
