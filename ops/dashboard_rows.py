"""What the dashboard shows, row by row. Pure. `$selector` in a query is job and instance, see `grafana_panels`."""

from typing import Final

from ops.grafana_panels import Panel, Query, Row, quantiles

_WELL: Final = "completed|time_limit|drained"
_FAILED: Final = "not_configured|recognizer_.+|overloaded|restarting|internal"
_SLO_S: Final = 0.8


def _rate(metric: str, by: str = "", matching: str = "") -> str:
    grouped = f"sum by ({by}) " if by else "sum "
    return f"{grouped}(rate({metric}{{$selector{matching}}}[$__rate_interval]))"


def _sum(metric: str, by: str = "", matching: str = "") -> str:
    return f"sum by ({by}) ({metric}{{$selector{matching}}})" if by else f"sum ({metric}{{$selector{matching}}})"


RED: Final = Row(
    "Rate, errors, duration",
    (
        Panel(
            "Streams now",
            "Streams between their admitted start and their outcome.",
            (Query(_sum("voice_streams_active"), "streams"),),
            kind="stat",
            width=4,
        ),
        Panel(
            "Streams ended, by outcome",
            "Clients' own doing included. Red flags: recognizer_*, overloaded, internal.",
            (Query(_rate("voice_streams_ended_total", "outcome") + " > 0", "{{outcome}}"),),
            unit="reqps",
            width=10,
            is_stacked=True,
        ),
        Panel(
            "Failed streams and refused starts",
            "Through the service, its operator or the recognizer.",
            (
                Query(_rate("voice_streams_ended_total", "outcome", f', outcome=~"{_FAILED}"'), "{{outcome}}"),
                Query(
                    _rate("voice_messages_rejected_total", "slug", f', slug=~"{_FAILED}"'),
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
            steps=(_SLO_S,),
        ),
        Panel(
            "Finalization",
            "From stop to stopped. Objective: 95 % within 0.8 s.",
            quantiles("voice_finalization_seconds"),
            unit="s",
            steps=(_SLO_S,),
        ),
        Panel(
            "Refused messages",
            "Messages of clients, by failure. A rise after a release of the client: its new messages are wrong.",
            (Query(_rate("voice_messages_rejected_total", "slug") + " > 0", "{{slug}}", needs="refused messages"),),
            unit="reqps",
        ),
        Panel(
            "Uploads, by outcome",
            "POST /api/realtime-voice/recognize.",
            (Query(_rate("voice_sentences_total", "outcome") + " > 0", "{{outcome}}", needs="uploads"),),
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
            (Query(_rate("process_cpu_seconds_total", "instance"), "{{instance}}"),),
            unit="percentunit",
            steps=(0.6, 0.8),
        ),
        Panel(
            "Memory",
            "Resident; virtual memory is address space, and costs nothing.",
            (
                Query(_sum("process_resident_memory_bytes", "instance"), "{{instance}}"),
                Query(_sum("process_virtual_memory_bytes"), "virtual, all"),
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
            (Query(_sum("voice_recognizer_slots", "state"), "{{state}}"),),
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
                Query(_sum("voice_connections_active", "instance"), "connections {{instance}}"),
                Query(_sum("voice_tasks", "instance"), "tasks {{instance}}"),
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

STAGES: Final = (
    Row(
        "Stage 1: connect, start, ready",
        (
            Panel(
                "Connections that have no stream",
                "Clients that connect and do not start; health checks and scrapers are in it.",
                (Query(f"{_sum('voice_connections_active')} - {_sum('voice_streams_active')}", "no stream"),),
                width=12,
            ),
            Panel(
                "Starts refused",
                "Before a stream was admitted: no token, wrong values, no place.",
                (
                    Query(
                        _rate(
                            "voice_messages_rejected_total",
                            "slug",
                            ', slug=~"unauthenticated|token_expired|bad_start|start_timeout|overloaded|restarting"',
                        ),
                        "{{slug}}",
                    ),
                ),
                unit="reqps",
                width=12,
            ),
        ),
    ),
    Row(
        "Stage 2: recognizer connect",
        (
            Panel(
                "Recognizer connect",
                "From dialing to acceptance. Over 0.5 s: the way to the recognizer.",
                quantiles("voice_recognizer_connect_seconds"),
                unit="s",
                width=12,
                steps=(0.5,),
            ),
            Panel(
                "Recognizer connections",
                "Accepted, and failed by code.",
                (
                    Query(_rate("voice_recognizer_connect_seconds_count"), "accepted"),
                    Query(_rate("voice_recognizer_errors_total", "code") + " > 0", "{{code}}", needs="failures"),
                ),
                unit="reqps",
                width=12,
            ),
        ),
    ),
    Row(
        "Stage 3: first partial",
        (
            Panel(
                "First partial, by instance (p95)",
                "One instance apart from the others: its machine. All: the recognizer, or people who start silently.",
                (
                    Query(
                        "histogram_quantile(0.95, sum by (le, instance) "
                        "(rate(voice_first_partial_seconds_bucket{$selector}[$__rate_interval])))",
                        "{{instance}}",
                    ),
                ),
                unit="s",
                width=24,
                steps=(_SLO_S,),
            ),
        ),
    ),
    Row(
        "Stage 4: relay",
        (
            Panel(
                "Relay delay",
                "What this service adds, from a complete packet to its write. Over 50 ms at p99: too many streams.",
                quantiles("voice_gateway_delay_seconds"),
                unit="s",
                width=12,
                steps=(0.05,),
            ),
            Panel(
                "Audio a second",
                "People talking at a time. Relayed behind received: pauses are dropped, or the recognizer is slow.",
                (
                    Query(_rate("voice_audio_received_seconds_total"), "received"),
                    Query(_rate("voice_audio_relayed_seconds_total"), "relayed"),
                ),
                unit="s",
                width=12,
            ),
        ),
    ),
    Row(
        "Stage 5: results",
        (
            Panel(
                "Streams with a result",
                "Streams that got a first result, and streams that ended. The gap: silence, or no recognizer.",
                (
                    Query(_rate("voice_first_partial_seconds_count"), "with a result"),
                    Query(_rate("voice_streams_ended_total"), "ended"),
                ),
                unit="reqps",
                width=12,
            ),
            Panel(
                "Audio lost",
                "Audio that clients were told is missing after a recognizer connection was lost.",
                (Query(_rate("voice_audio_lost_seconds_total"), "lost"),),
                unit="s",
                width=12,
            ),
        ),
    ),
    Row(
        "Stage 6: finalization",
        (
            Panel(
                "Finalization, by instance (p95)",
                "Clients upload a backlog, or the recognizer settles slowly.",
                (
                    Query(
                        "histogram_quantile(0.95, sum by (le, instance) "
                        "(rate(voice_finalization_seconds_bucket{$selector}[$__rate_interval])))",
                        "{{instance}}",
                    ),
                ),
                unit="s",
                width=24,
                steps=(_SLO_S,),
            ),
        ),
    ),
    Row(
        "Stage 7: end",
        (
            Panel(
                "How streams end",
                "Shares. client_left that grows: phones give up, or a network is bad.",
                (
                    Query(
                        f"({_rate('voice_streams_ended_total', 'outcome')} > 0)"
                        f" / on() group_left() {_rate('voice_streams_ended_total')}",
                        "{{outcome}}",
                    ),
                ),
                unit="percentunit",
                width=24,
                maximum=1,
                is_stacked=True,
            ),
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
            (Query(_rate("voice_streams_shed_total", "instance"), "{{instance}}"),),
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
                    f"{_rate('voice_recognizer_connect_seconds_count')} / {_rate('voice_streams_ended_total')}",
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
                    _rate("voice_recognizer_errors_total", "code", ', code=~"connect|upgrade|lost|garbled|.+_timeout"'),
                    "{{code}}",
                ),
            ),
            unit="reqps",
            width=12,
        ),
    ),
)
