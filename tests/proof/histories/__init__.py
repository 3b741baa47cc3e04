"""Random histories of faults on both sides of a stream, in virtual time: made from a seed, held, judged, made small."""
