"""What the dashboard shows of the whole: are people served, is the objective kept, is there room. Pure.

`$selector` in a query is job and instance, see `grafana_panels`.
"""

from typing import Final

from ops.grafana_panels import SLO_S, Panel, Query, Row, quantiles, rate, total

_WELL: Final = "completed|time_limit|drained"
_FAILED: Final = "not_configured|recognizer_.+|overloaded|restarting|internal"


RED: Final = Row(
    "Rate, errors, duration",
    (
        Panel(
            "Streams now",
            "Streams between their admitted start and their outcome.",
            (Query(total("voice_streams_active"), "streams"),),
            kind="stat",
            width=4,
        ),
        Panel(
            "Streams ended, by outcome",
            "Clients' own doing included. Red flags: recognizer_*, overloaded, internal.",
            (Query(rate("voice_streams_ended_total", "outcome") + " > 0", "{{outcome}}"),),
            unit="reqps",
            width=10,
            is_stacked=True,
        ),
        Panel(
            "Failed streams and refused starts",
            "Through the service, its operator or the recognizer.",
            (
                Query(rate("voice_streams_ended_total", "outcome", f', outcome=~"{_FAILED}"'), "{{outcome}}"),
                Query(
                    rate("voice_messages_rejected_total", "slug", f', slug=~"{_FAILED}"'),
                    "refused: {{slug}}",
                ),
            ),
            unit="reqps",
            width=10,
        ),
        Panel(
            "First partial",
            "From the first audio of a stream to its first result. Objective: 95 % within 0.8 s.",
            quantiles("voice_first_partial_seconds"),
            unit="s",
            steps=(SLO_S,),
        ),
        Panel(
            "Finalization",
            "From stop to stopped. Objective: 95 % within 0.8 s.",
            quantiles("voice_finalization_seconds"),
            unit="s",
            steps=(SLO_S,),
        ),
        Panel(
            "Refused messages",
            "Messages of clients, by failure. A rise after a release of the client: its new messages are wrong.",
            (Query(rate("voice_messages_rejected_total", "slug") + " > 0", "{{slug}}", needs="refused messages"),),
            unit="reqps",
        ),
        Panel(
            "Uploads, by outcome",
            "POST /api/realtime-voice/recognize.",
            (Query(rate("voice_sentences_total", "outcome") + " > 0", "{{outcome}}", needs="uploads"),),
            unit="reqps",
            width=12,
            is_stacked=True,
        ),
        Panel(
            "Uploads, duration",
            "From a complete upload to its answer.",
            tuple(Query(query.expr, query.legend, needs="uploads") for query in quantiles("voice_sentence_seconds")),
            unit="s",
            width=12,
        ),
    ),
)

_BUDGET: Final = (
    "1 - ("
    f'sum (increase(voice_streams_ended_total{{job="voice-gateway", outcome=~"{_FAILED}"}}[30d]))'
    ' + sum (increase(voice_messages_rejected_total{job="voice-gateway", '
    'slug=~"not_configured|recognizer_.+|overloaded|internal"}[30d]))'
    ") / ("
    f'sum (increase(voice_streams_ended_total{{job="voice-gateway", outcome=~"{_WELL}|{_FAILED}"}}[30d]))'
    ' + sum (increase(voice_messages_rejected_total{job="voice-gateway", '
    'slug=~"not_configured|recognizer_.+|overloaded|internal"}[30d]))'
    ") / 0.001"
)


def _slow_budget(metric: str) -> str:
    within = f'sum (increase({metric}_bucket{{job="voice-gateway", le="0.8"}}[30d]))'
    return f'1 - (1 - {within} / sum (increase({metric}_count{{job="voice-gateway"}}[30d]))) / 0.05'


def _burn(indicator: str, budget: str) -> tuple[Query, ...]:
    return tuple(
        Query(f'job:{indicator}:ratio_rate{window}{{job="voice-gateway"}} / {budget}', window)
        for window in ("5m", "30m", "1h", "6h")
    )


OBJECTIVES: Final = Row(
    "Objectives and error budget: all instances",
    (
        *(
            Panel(
                title,
                "Of 30 days. At 0 the objective is missed.",
                (Query(expr, "left"),),
                kind="stat",
                unit="percentunit",
                steps=(0.0, 0.25),
                is_bad_when_low=True,
                height=5,
            )
            for title, expr in (
                ("Budget left: success, 99.9 %", _BUDGET),
                ("Budget left: finalization, 95 % within 0.8 s", _slow_budget("voice_finalization_seconds")),
                ("Budget left: first partial, 95 % within 0.8 s", _slow_budget("voice_first_partial_seconds")),
            )
        ),
        *(
            Panel(
                title,
                "How many times faster than allowed the budget is used. Over 14.4 for 1h and 5m: page; over 6 for "
                "6h and 30m: ticket.",
                _burn(indicator, budget),
                steps=(6.0, 14.4),
            )
            for title, indicator, budget in (
                ("Burn rate: success", "voice_streams_failed", "0.001"),
                ("Burn rate: finalization", "voice_finalization_slow", "0.05"),
                ("Burn rate: first partial", "voice_first_partial_slow", "0.05"),
            )
        ),
    ),
)

USE: Final = Row(
    "Utilization, saturation, errors of resources",
    (
        Panel(
            "CPU",
            "Share of one CPU; near 1 an instance is full, whatever the container has.",
            (Query(rate("process_cpu_seconds_total", "instance"), "{{instance}}"),),
            unit="percentunit",
            steps=(0.6, 0.8),
        ),
        Panel(
            "Memory",
            "Resident; virtual memory is address space, and costs nothing.",
            (
                Query(total("process_resident_memory_bytes", "instance"), "{{instance}}"),
                Query(total("process_virtual_memory_bytes"), "virtual, all"),
            ),
            unit="bytes",
        ),
        Panel(
            "Event loop lag, p99",
            "How late due tasks run. Over 50 ms: too little CPU, or something blocks.",
            (
                Query(
                    "histogram_quantile(0.99, sum by (le, instance) "
                    "(rate(voice_event_loop_lag_seconds_bucket{$selector}[$__rate_interval])))",
                    "{{instance}}",
                ),
            ),
            unit="s",
            steps=(0.05, 0.1),
        ),
        Panel(
            "Recognizer slots",
            "Connections to the recognizer. Streams that wait: UPSTREAM_CONCURRENCY is used up.",
            (Query(total("voice_recognizer_slots", "state"), "{{state}}"),),
        ),
        Panel(
            "File descriptors",
            "Open ones, as a share of the limit.",
            (Query("process_open_fds{$selector} / process_max_fds{$selector}", "{{instance}}"),),
            unit="percentunit",
            steps=(0.6, 0.8),
        ),
        Panel(
            "Connections and tasks",
            "Tasks that grow without connections are a leak.",
            (
                Query(total("voice_connections_active", "instance"), "connections {{instance}}"),
                Query(total("voice_tasks", "instance"), "tasks {{instance}}"),
            ),
        ),
        Panel(
            "Age of each process",
            "A saw-tooth is a restart loop.",
            (Query("time() - process_start_time_seconds{$selector}", "{{instance}}"),),
            unit="s",
            width=12,
        ),
        Panel(
            "What is running",
            "Instances by version.",
            (Query("count by (version, python) (voice_build_info{$selector})", "{{version}}, Python {{python}}"),),
            width=12,
        ),
    ),
)

DEFENSES: Final = Row(
    "Shedding, breaker, failover",
    (
        Panel(
            "Shedding",
            "1: the instance refuses new streams, because its event loop is late.",
            (Query("voice_shedding{$selector}", "{{instance}}"),),
            maximum=1,
        ),
        Panel(
            "Streams shed",
            "The demand that is not met.",
            (Query(rate("voice_streams_shed_total", "instance"), "{{instance}}"),),
            unit="reqps",
        ),
        Panel(
            "Breaker",
            "0 closed, 1 half open, 2 open. On all instances at once: the recognizer; on one: its machine.",
            (Query("voice_recognizer_breaker{$selector}", "{{instance}}"),),
            maximum=2,
        ),
        Panel(
            "Recognizer connections for each stream",
            "1: none was lost. More: failover, pauses and finalize dial again.",
            (
                Query(
                    f"{rate('voice_recognizer_connect_seconds_count')} / {rate('voice_streams_ended_total')}",
                    "connections",
                ),
            ),
            width=12,
        ),
        Panel(
            "Lost and timed-out recognizer connections",
            "Each is one failover, or the end of a stream.",
            (
                Query(
                    rate("voice_recognizer_errors_total", "code", ', code=~"connect|upgrade|lost|garbled|.+_timeout"'),
                    "{{code}}",
                ),
            ),
            unit="reqps",
            width=12,
        ),
    ),
)
