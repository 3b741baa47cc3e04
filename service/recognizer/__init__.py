"""The far side: Tencent's real-time recognition, or the local program that speaks the same protocol."""
