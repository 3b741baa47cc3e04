"""A recognizer for one machine that speaks Tencent Cloud's real-time ASR protocol.

Reading order: ``server`` (a connection), ``request`` and ``signature`` (may it), ``conversation`` (one stream),
``sentences`` with ``tc3`` and ``sentence_request`` (one sentence by HTTP), ``decoders`` (audio into samples),
``engine`` (what recognizes), then the engines: ``scripted`` with ``coded_audio`` and ``faults``, and ``sphinx`` with
``worker`` and ``speech``. The package imports nothing else of the gateway: it checks the gateway's work.
"""
