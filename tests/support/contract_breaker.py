"""Says something that is not in the contract: run as a checked child, to show that the check can fail there."""

from service.stream.protocol import Finalized, GoAway

Finalized("right", 1600, 1).encode()
GoAway(1000, "no reason that is documented").encode()
