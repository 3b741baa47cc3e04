"""Writes ops/grafana/voice-gateway.json: `python -m ops.dashboard`. Pure but for `main`.

The rows are read from the top: are people served (RED), is the objective kept, is there room (USE), and then one row
for each stage of a stream, in the order in which a stream goes through them. Behind them stand the defenses, what is
shared, who may speak, and what is kept.
"""

import json
from pathlib import Path
from typing import Final

from ops.dashboard_rows import DEFENSES, OBJECTIVES, RED, USE
from ops.dashboard_shared import ACCESS, HISTORY, SHARED
from ops.dashboard_stages import STAGES
from ops.grafana_panels import dashboard, datasource_variable, label_variable

PATH: Final = Path(__file__).parent / "grafana" / "voice-gateway.json"
ROWS: Final = (RED, OBJECTIVES, USE, *STAGES, DEFENSES, SHARED, ACCESS, HISTORY)


def text() -> str:
    """The file: JSON, indented, so that a change can be reviewed."""
    whole = dashboard(
        uid="voice-gateway",
        title="Voice gateway",
        description="Streams of speech: rate, errors, duration, objectives, resources, and each stage of a stream. "
        "Written by `python -m ops.dashboard`.",
        variables=[
            datasource_variable(),
            label_variable("instance", "Instance", 'label_values(voice_build_info{job="voice-gateway"}, instance)'),
        ],
        rows=ROWS,
    )
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the dashboard."""
    PATH.write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
