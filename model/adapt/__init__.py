"""Fast working memories beside a sealed core: a correction changes the memory, never the core."""
