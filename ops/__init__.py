"""The operator's tools: what Prometheus needs to watch the gateway."""
