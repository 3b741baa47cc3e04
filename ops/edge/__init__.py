"""The cloud's front door on this machine, sound or with one of its faults; the configurations are in `ops/edge-sim`."""
