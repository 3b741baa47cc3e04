"""The cheapest peer: a recognizer, or a whole gateway, that answers from where there is sound in the audio.

With it the gateway's own cost and the load tester's own limit can each be measured by itself. `hearing`, `recognizer`
and `gateway` are pure and say what is answered; `server` is the WebSocket around them, `command` the program.
"""
