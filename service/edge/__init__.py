"""One TCP port: decides what a connection is and who serves it."""
