"""What the API's error codes mean to the operator. Pure.

The codes are those of the SDK's tcbr/v20220217/errorcodes.py, and those common to all of Tencent's APIs.
"""

from typing import Final

from ops.cloud import exits
from ops.cloud.exits import Refused
from ops.cloud.safe_text import one_line

NO_ANSWER: Final = "ClientNetworkError"
"""The SDK's code for: no answer."""
GARBLED: Final = "Garbled"
"""Our own: an answer that is not of the protocol."""

_MEANINGS: Final[dict[str, tuple[int, str]]] = {
    "AuthFailure": (
        exits.CREDENTIALS,
        "Check TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY (console: CAM, keys).",
    ),
    "AuthFailure.SecretIdNotFound": (exits.CREDENTIALS, "The key was deleted, or belongs to another site or account."),
    "AuthFailure.SignatureExpire": (exits.CREDENTIALS, "Set this machine's clock: it is more than 5 minutes off."),
    "AuthFailure.SignatureFailure": (exits.CREDENTIALS, "TENCENTCLOUD_SECRET_KEY does not belong to the secret id."),
    "AuthFailure.TokenFailure": (
        exits.CREDENTIALS,
        "The temporary credentials have expired: get new ones, all three of id, key and TENCENTCLOUD_TOKEN.",
    ),
    "AuthFailure.UnauthorizedOperation": (exits.CREDENTIALS, "Give this key the policy QcloudTCBFullAccess."),
    "InternalError": (exits.FAILED, "A fault of the cloud: try again in a minute."),
    "InvalidCredential": (exits.CREDENTIALS, "Check the credentials; temporary ones need TENCENTCLOUD_TOKEN."),
    "LimitExceeded": (exits.FAILED, "A quota is used up (15 services and 28 instances in an environment)."),
    "RequestLimitExceeded": (exits.FAILED, "Too many calls a second for this account: try again in a minute."),
    "ResourceInUse": (exits.BUSY, "Wait until that rollout has ended (`ops status --follow`), or give --wait-busy."),
    "ResourceInsufficient": (
        exits.FAILED,
        "The package of the environment has too little: ask for less, or upgrade it.",
    ),
    "ResourceNotFound": (exits.FAILED, "Check --env, --service and --region (`ops list` shows the services)."),
    "ResourceUnavailable": (
        exits.FAILED,
        "The environment is isolated, frozen or in arrears: see the console's billing.",
    ),
    "UnauthorizedOperation": (exits.CREDENTIALS, "Give this key the policy QcloudTCBFullAccess."),
    NO_ANSWER: (exits.FAILED, "Check the network and --endpoint, then try again."),
}
_TRANSIENT: Final = (NO_ANSWER, "ServerNetworkError", "RequestLimitExceeded", "InternalError")
_NOT_FOUND: Final = ("ResourceNotFound", "InvalidParameter")
"""The second is answered for "no such service" too, and the vendor's own tools take it so."""


def refused(action: str, code: str, message: str) -> Refused:
    """The error for an answer with `code`, the longest known beginning deciding what to do."""
    known = [name for name in _MEANINGS if code == name or code.startswith(f"{name}.")]
    exit_code, remedy = _MEANINGS[max(known, key=len)] if known else (exits.FAILED, "")
    said = one_line(message)[:300]
    return Refused(code, f"{action}: {code}: {said}", *filter(None, [remedy]), exit_code=exit_code)


def is_transient(code: str) -> bool:
    """Whether the same question may be answered a second later."""
    return code.partition(".")[0] in _TRANSIENT


def is_not_found(code: str) -> bool:
    """Whether a question about a service was answered with: there is none."""
    return code.partition(".")[0] in _NOT_FOUND


def is_busy(code: str) -> bool:
    """Whether a rollout is in the way."""
    return code.partition(".")[0] == "ResourceInUse"
