"""The Tencent SDK as this project uses it: its signatures and its connections, and nothing else of it.

Not used, each for a reason that `service.recognizer.sentence` gives: its retryer and region breaker, its reading of the
answers, `.netrc`, and its debug log. The SDK is imported when the first client is made: it is slow to import.
"""

import logging
from typing import Any
from urllib.parse import urlsplit


def silence_sdk() -> None:
    """Its log would have headers and bodies."""
    logging.getLogger("tencentcloud_sdk_common").disabled = True


def new_client(
    kind: type[Any], credential: Any, region: str, api_url: str, timeouts_s: tuple[float, float], *, is_proxied: bool
) -> Any:
    """A client of this kind (`AsrClient` …) for an API at `http(s)://HOST[:PORT]`; whoever calls looks at the answers.

    `timeouts_s` are to connect, and for the answer.
    """
    from tencentcloud.common.profile.client_profile import ClientProfile
    from tencentcloud.common.profile.http_profile import HttpProfile

    parts = urlsplit(api_url)
    # The endpoint without its scheme: it goes into the Host header and the signature as it is written here.
    http = HttpProfile(protocol=parts.scheme, endpoint=parts.netloc, reqTimeout=timeouts_s)
    client = kind(credential, region, ClientProfile(httpProfile=http, disable_region_breaker=True))
    client._check_error = _unchecked
    connection = client.request.conn
    connection._session.trust_env = False
    if not is_proxied:
        connection.proxy = None
    return client


def _unchecked(response: object) -> None:
    """Instead of the SDK's test for errors, which believes the content type."""
