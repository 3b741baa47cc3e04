"""Figures as people read them: three digits, a unit, and words where there is no figure. Pure."""

import math
from typing import Final

NO_VALUE: Final = "–"
NEVER: Final = "never"


def format_seconds(value_s: float | None, digits: int = 3) -> str:
    """A duration: `12.3 ms`, `1.20 s`, `850 µs`, `3 min 20 s`, `2 h 5 min`; `never` for infinity, a dash for None."""
    if value_s is None or math.isnan(value_s):
        return NO_VALUE
    if math.isinf(value_s):
        return NEVER
    if value_s < 0:
        return f"-{format_seconds(-value_s, digits)}"
    if value_s == 0:
        return "0 ms"
    # Each unit is left where rounding reaches the next one, so that 0.9996 s is "1.00 s" and not "1000 ms".
    if _rounded(value_s * 1e6, digits) < 1000:
        return f"{_significant(value_s * 1e6, digits)} µs"
    if _rounded(value_s * 1e3, digits) < 1000:
        return f"{_significant(value_s * 1e3, digits)} ms"
    if _rounded(value_s, digits) < 100:
        return f"{_significant(value_s, digits)} s"
    whole_s = round(value_s)
    if whole_s < 3600:
        return f"{whole_s // 60} min {whole_s % 60} s"
    return f"{whole_s // 3600} h {whole_s % 3600 // 60} min"


def format_ms(value_ms: float | None, digits: int = 3) -> str:
    """The same of milliseconds, as summaries hold them."""
    return format_seconds(None if value_ms is None else value_ms / 1000, digits)


def format_ratio(ratio: float | None) -> str:
    """A share as `99.95%`. `100%` and `0%` are said only of what is exactly that; a dash for None."""
    if ratio is None or not math.isfinite(ratio):
        return NO_VALUE
    percent = ratio * 100
    for decimals in (2, 4, 6):
        text = f"{percent:.{decimals}f}"
        if (float(text) == 100) == (ratio == 1) and (float(text) == 0) == (ratio == 0):
            return f"{_trimmed(text)}%"
    return f"{percent:.3g}%" if ratio < 0.5 else "over 99.999999%"


def format_count(count: float) -> str:
    """A number of things, in groups of three digits: `12,345`. Those that are not whole keep one decimal."""
    return f"{count:,.0f}" if float(count).is_integer() else f"{count:,.1f}"


def format_bytes(size_bytes: float) -> str:
    """A size: `512 B`, `1.50 KiB`, `20.0 MiB`."""
    value = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1000:
            return f"{value:.0f} B" if unit == "B" else f"{_significant(value, 3)} {unit}"
        value /= 1024
    return f"{_significant(value, 3)} TiB"


def plural(count: int, one: str, many: str | None = None) -> str:
    """`1 stream`, `2 streams`."""
    return f"{format_count(count)} {one if count == 1 else many or one + 's'}"


def _rounded(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}")


def _significant(value: float, digits: int) -> str:
    rounded = _rounded(value, digits)
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(rounded))))
    return f"{rounded:.{decimals}f}"


def _trimmed(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text
