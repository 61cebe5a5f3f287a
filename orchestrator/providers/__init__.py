"""Model servers, behind one small protocol. Each is an entry point in the group `jetbox.providers`."""
