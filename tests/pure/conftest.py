"""How the property tests of pure code run: the same examples each time, whatever the speed of the machine.

`HYPOTHESIS_PROFILE=explore` looks for new examples, and for longer.
"""

import os

from hypothesis import HealthCheck, settings

_UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("decided", _UNTIMED, derandomize=True)
settings.register_profile("explore", _UNTIMED, max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "decided"))
