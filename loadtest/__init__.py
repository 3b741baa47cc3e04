"""Clients for a running gateway: one that speaks a file, and a load tester that says what a deployment holds.

In reading order:

* what is to be done: `scenario` (with `scenario_files`, `scenario_rules`, `overrides`), `arrivals`, `call_lengths`,
  `plan`, `audio`, `onset`;
* one phone: `speaker`, `behaviors`, `nonsense`, `conversation`, `connection`, `transport`, `pacer`, `audio_clock`,
  `notes`, `messages`; `speak` is the command for one file;
* a run: `run` (with `run_options`, `preflight`, `references`, `tokens`), `coordinator`, `crew`, `worker`,
  `worker_wire`, `fold`, `events`, `knee`;
* what came of it: `record`, `figures`, `histograms`, `tally`, `series`, `objectives`, `transcripts`, `verdict`,
  `summary`, `merge`, `compare`;
* what a person sees: `run_state`, `live`, `result_text`, `report/`; `scrape`, `server_curves`, `metrics_port`,
  `environment`;
* the peers that cost next to nothing: `sink/`; the bench of the gateway: `bench/`.
"""
