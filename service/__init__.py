"""The voice gateway: speech in over one WebSocket, words back while the person is talking."""
