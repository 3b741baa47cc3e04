"""What replicas share through Redis, and how each of them goes on while Redis is away."""
