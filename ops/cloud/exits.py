"""How the cloud commands end: exit codes, and the error that carries one. Pure."""

from typing import Final

DONE: Final = 0
FAILED: Final = 1
"""The cloud refused, or a rollout failed."""
USAGE: Final = 2
"""What was given cannot be used. Nothing was changed."""
BUSY: Final = 3
"""Another rollout runs. Nothing was changed."""
CREDENTIALS: Final = 4
"""The account's keys are missing, wrong or expired, or may not do this."""
STILL_RUNNING: Final = 5
"""The deadline passed, and the rollout goes on."""
UNHEALTHY: Final = 6
"""The rollout succeeded, and the doctor found the deployment failing."""

HELP: Final = (
    "exit codes: 0 done, or nothing to do; 1 refused or failed; 2 bad usage, nothing changed; 3 another rollout runs; "
    "4 credentials; 5 deadline passed, the rollout goes on; 6 deployed, and the doctor failed; 130 interrupted"
)


class CloudError(Exception):
    """A command cannot go on. `what` says what is wrong, `remedies` what to do; neither has a secret in it."""

    def __init__(self, what: str, *remedies: str, exit_code: int = FAILED) -> None:
        super().__init__(what)
        self.what = what
        self.remedies = remedies
        self.exit_code = exit_code


class Refused(CloudError):
    """The API answered with an error; `code` is its code, or one of the SDK where nothing was answered."""

    def __init__(self, code: str, what: str, *remedies: str, exit_code: int = FAILED) -> None:
        super().__init__(what, *remedies, exit_code=exit_code)
        self.code = code
