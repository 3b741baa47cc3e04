"""The HTTP routes, on Quart-Trio."""
