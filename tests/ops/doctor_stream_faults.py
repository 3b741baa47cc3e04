"""Faults that were planted from the stream on, and what the doctor says of each: verdict and first cause.

Data for the tests, which plant each one for real (`test_doctor_stream_faults.py`), and for the table of the docs.
"""

from typing import Final, NamedTuple


class StreamFault(NamedTuple):
    """One row."""

    name: str
    """What was planted."""
    stage: str
    verdict: str
    cause: str
    """The first one that is named; empty where nothing is wrong."""


STREAM_FAULTS: Final = (
    StreamFault("nothing", "stream", "pass", ""),
    StreamFault("locked: no recognizer", "locked", "fail", "no_recognizer_configured"),
    StreamFault("locked: no authentication", "locked", "fail", "no_authentication_configured"),
    StreamFault("no token given", "locked", "warn", "token_missing"),
    StreamFault("token of another service", "locked", "fail", "token_wrong"),
    StreamFault("expired token", "locked", "fail", "token_expired"),
    StreamFault("instance draining", "locked", "fail", "draining"),
    StreamFault("local recognizer gone", "locked", "fail", "recognizer_down"),
    StreamFault("recognizer slots full", "locked", "warn", "recognizer_slots_full"),
    StreamFault("recognizer refused too often", "locked", "warn", "recognizer_not_dialed"),
    StreamFault("wrong key", "stream", "fail", "recognizer_wrong_credentials"),
    StreamFault("wrong key, settings known", "credentials", "fail", "recognizer_wrong_credentials"),
    StreamFault("not activated (4003)", "credentials", "fail", "recognizer_not_activated"),
    StreamFault("resource package used up (4004)", "stream", "fail", "recognizer_no_resources"),
    StreamFault("arrears (4005)", "stream", "fail", "account_in_arrears"),
    StreamFault("arrears (4005), settings known", "credentials", "fail", "account_in_arrears"),
    StreamFault("account's streams all taken (4006)", "stream", "fail", "account_concurrency_full"),
    StreamFault(
        "account's streams all taken (4006), settings known", "credentials", "warn", "account_concurrency_full"
    ),
    StreamFault("call from abroad (6001)", "stream", "fail", "recognizer_abroad"),
    StreamFault("message not understood (4010), settings known", "credentials", "fail", "recognizer_misunderstood"),
    StreamFault("recognizer overloaded (5000)", "stream", "fail", "recognizer_failed"),
    StreamFault("engine that the recognizer lacks (4001)", "stream", "fail", "engine_not_supported"),
    StreamFault("recognizer down", "stream", "fail", "recognizer_unreachable"),
    StreamFault("recognizer down, settings known", "recognizer", "fail", "recognizer_unreachable"),
    StreamFault("recognizer's name unknown", "recognizer", "fail", "recognizer_dns"),
    StreamFault("recognizer's TLS not trusted", "recognizer", "fail", "recognizer_tls"),
    StreamFault("another server at the recognizer's address", "recognizer", "fail", "recognizer_not_tencent"),
    StreamFault("recognizer accepts and says nothing", "credentials", "fail", "recognizer_silent"),
    StreamFault("first words after 1.5 s", "stream", "warn", "first_words_slow"),
    StreamFault("last words 1.5 s late", "stream", "warn", "finalization_slow"),
    StreamFault("engine of another language", "stream", "warn", "nothing_heard"),
    StreamFault("words lost by the recognizer", "stream", "warn", "words_differ"),
    StreamFault("MAX_STREAMS reached", "stream", "fail", "max_streams_reached"),
    StreamFault("address has MAX_STREAMS_PER_ADDRESS streams", "stream", "fail", "user_limit_reached"),
    StreamFault("event loop late", "stream", "fail", "shedding"),
    StreamFault("MAX_STREAM_S of 1", "stream", "fail", "max_stream_too_short"),
    StreamFault("stream's path not routed", "locked", "fail", "stream_path_not_routed"),
    StreamFault("gateway's clock 10 min ahead", "clock", "fail", "clock_skew"),
    StreamFault("gateway's clock 10 min behind, seen by a refusal", "stream", "fail", "clock_skew"),
    StreamFault("proxy's clock 2 min ahead", "clock", "warn", "clock_skew"),
    StreamFault("this machine's clock 10 min behind", "clock", "warn", "own_clock_wrong"),
    StreamFault("http, not https", "miniprogram", "fail", "not_secure"),
    StreamFault("IP address", "miniprogram", "fail", "ip_address_not_allowed"),
    StreamFault("name of a private network", "miniprogram", "fail", "not_a_public_name"),
    StreamFault("default domain of the platform", "miniprogram", "warn", "test_domain"),
    StreamFault("a port other than 443", "miniprogram", "warn", "port_in_domain"),
    StreamFault("certificate of a private authority", "miniprogram", "fail", "certificate_not_public"),
    StreamFault("TLS 1.1 only", "miniprogram", "fail", "tls_too_old"),
)
