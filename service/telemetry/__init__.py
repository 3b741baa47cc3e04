"""What the service tells its operators: metrics, log lines, and a watch on its own event loop."""
