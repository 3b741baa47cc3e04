"""The doctor's stages on the way to the gateway: from the settings to the echo."""

from typing import Final

from ops.doctor.stage import Stage
from ops.doctor.stages_network import http, idle, messages, reach, tls, upgrade

STAGES: Final[tuple[Stage, ...]] = (
    reach.SETTINGS,
    reach.DNS,
    reach.TCP,
    tls.STAGE,
    http.HTTP,
    http.REDIRECT,
    upgrade.UPGRADE,
    messages.COMPRESSION,
    messages.ECHO,
    messages.MESSAGE_SIZE,
    upgrade.STREAM_ROUTE,
)
"""In the order in which they are run."""

LAST: Final[tuple[Stage, ...]] = (idle.IDLE,)
"""What takes minutes, after everything else."""
