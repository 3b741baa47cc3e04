"""The lean WebSocket that the two hot paths share: phones on one side, the recognizer on the other."""
