"""What the dashboard shows of each stage of a stream, in the order in which a stream goes through them. Pure."""

from typing import Final

from ops.grafana_panels import SLO_S, Panel, Query, Row, quantiles, rate, total

STAGES: Final = (
    Row(
        "Stage 1: connect, start, ready",
        (
            Panel(
                "Connections that have no stream",
                "Clients that connect and do not start; health checks and scrapers are in it.",
                (Query(f"{total('voice_connections_active')} - {total('voice_streams_active')}", "no stream"),),
                width=12,
            ),
            Panel(
                "Starts refused",
                "Before a stream was admitted: no token, wrong values, no place.",
                (
                    Query(
                        rate(
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
                    Query(rate("voice_recognizer_connect_seconds_count"), "accepted"),
                    Query(rate("voice_recognizer_errors_total", "code") + " > 0", "{{code}}", needs="failures"),
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
                steps=(SLO_S,),
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
                    Query(rate("voice_audio_received_seconds_total"), "received"),
                    Query(rate("voice_audio_relayed_seconds_total"), "relayed"),
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
                    Query(rate("voice_first_partial_seconds_count"), "with a result"),
                    Query(rate("voice_streams_ended_total"), "ended"),
                ),
                unit="reqps",
                width=12,
            ),
            Panel(
                "Audio lost",
                "Audio that clients were told is missing after a recognizer connection was lost.",
                (Query(rate("voice_audio_lost_seconds_total"), "lost"),),
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
                steps=(SLO_S,),
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
                        f"({rate('voice_streams_ended_total', 'outcome')} > 0)"
                        f" / on() group_left() {rate('voice_streams_ended_total')}",
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
