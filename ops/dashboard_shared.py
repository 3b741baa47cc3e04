"""What the dashboard shows of what replicas share, who may speak, and what is kept. Pure."""

from typing import Final

from ops.grafana_panels import Panel, Query, Row, quantiles, rate, total

_LIMITS: Final = "too_many_streams|too_many_new_streams|quota_exceeded"
_STRANGERS: Final = "unauthenticated|token_expired|forbidden"

SHARED: Final = Row(
    "Shared slots and Redis",
    (
        Panel(
            "Recognizer pool",
            "Connections of all replicas that share a Redis, as the one that knows of most says; without it each has "
            "its own, so choose an instance. With free at 0 phones are told recognizer_busy.",
            (
                Query("max by (state) (voice_recognizer_pool_slots{$selector})", "{{state}}"),
                Query(total("voice_recognizer_pool_slots", "instance", ', state="used"'), "used, says {{instance}}"),
            ),
        ),
        Panel(
            "Wait for a recognizer slot",
            "Of those that got one. Over 0.1 s at p95: the pool is nearly full, or Redis is slow.",
            quantiles("voice_recognizer_slot_wait_seconds"),
            unit="s",
            steps=(0.1,),
        ),
        Panel(
            "Redis",
            "0: there is none. 1: it answers. 2: it is away, and each replica goes on with its own part.",
            (Query("voice_redis{$selector}", "{{instance}}"),),
            steps=(1.5,),
            maximum=2,
        ),
    ),
)

ACCESS: Final = Row(
    "Logins and limits",
    (
        Panel(
            "Logins, by outcome",
            "login_rejected: the AppID or its secret is wrong. login_unavailable: WeChat, or the way to it.",
            (Query(rate("voice_logins_total", "outcome") + " > 0", "{{outcome}}", needs="logins"),),
            unit="reqps",
            is_stacked=True,
        ),
        Panel(
            "Refused by a limit",
            "Of users and addresses, by slug. A rise without more users: a client that opens streams in a loop.",
            (Query(rate("voice_messages_rejected_total", "slug", f', slug=~"{_LIMITS}"'), "{{slug}}"),),
            unit="reqps",
        ),
        Panel(
            "Refused for who they are",
            "No token, an old one, a foreign page. token_expired that grows: a client does not log in again in time.",
            (Query(rate("voice_messages_rejected_total", "slug", f', slug=~"{_STRANGERS}"'), "{{slug}}"),),
            unit="reqps",
        ),
        Panel(
            "Streams ended by a limit",
            "Streams that had begun: a day's audio used up, messages too fast, or a token that ended meanwhile.",
            (
                Query(
                    rate("voice_streams_ended_total", "outcome", ', outcome=~"quota_exceeded|token_expired"'),
                    "{{outcome}}",
                ),
            ),
            unit="reqps",
            width=12,
        ),
        Panel(
            "Uploads refused by a limit",
            "Uploads count as streams of their user.",
            (Query(rate("voice_sentences_total", "outcome", f', outcome=~"{_LIMITS}"'), "{{outcome}}"),),
            unit="reqps",
            width=12,
        ),
    ),
)

HISTORY: Final = Row(
    "History",
    (
        Panel(
            "Records that wait",
            "In memory and on the disk, until the database has them. Over 0 for minutes: it is away.",
            (Query(total("voice_history_pending", "instance"), "{{instance}}"),),
        ),
        Panel(
            "Records on their way",
            "Spooled to the disk (users that log in, too), and streams and uploads written into the database.",
            (
                Query(rate("voice_history_spooled_total"), "spooled"),
                Query(rate("voice_history_written_total"), "written"),
            ),
            unit="reqps",
        ),
        Panel(
            "Records lost",
            "full: no room left. stopped: at the end neither disk nor database had it. damaged: its file was changed. "
            "refused: the database does not take it.",
            (Query(rate("voice_history_lost_total", "reason"), "{{reason}}"),),
            unit="reqps",
        ),
        Panel(
            "Transaction of the history",
            "Up to 100 records. Over 1 s: the database is slow; no stream waits for it.",
            tuple(Query(query.expr, query.legend, needs="history") for query in quantiles("voice_history_seconds")),
            unit="s",
            width=24,
            steps=(1.0,),
        ),
    ),
)
