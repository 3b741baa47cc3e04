"""A helper for the two places where an event ends a wait for something else."""

import trio


async def cancel_when(event: trio.Event, scope: trio.CancelScope) -> None:
    """Cancel the scope when the event is set. Runs until then, as a task inside that scope."""
    await event.wait()
    scope.cancel()
