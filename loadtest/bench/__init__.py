"""`make bench`: what the gateway of this checkout costs, beside a sink and the load tester's own speakers."""
