"""A log-log plot as SVG, written by hand: two series a number of targets, and what linear growth would be."""

from collections.abc import Mapping, Sequence
from math import log10

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 720, 420, 70, 360, 40
_COLORS = {1: "#1b6ac9", 4: "#b5532b", 16: "#2f7d3b"}
_DECADES = (0.01, 0.1, 1.0, 10.0)


def draw(sizes: Sequence[int], seconds: Mapping[tuple[str, int], Sequence[float]]) -> str:
    """A plot of *seconds* by (cold or warm, targets), with a value for each of *sizes*."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="13">',
        "<title>CPU time of a lock by number of packages and targets</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        *(_rule(value) for value in _DECADES),
        *(_label(_x(size, sizes), _BOTTOM + 22, f"{size:,}", "middle") for size in sizes),
        _label((_LEFT + 520) / 2, _BOTTOM + 44, "packages", "middle"),
        _label(_LEFT, _TOP - 16, "CPU seconds, cold (solid) and warm (dashed)", "start"),
    ]
    ends: list[tuple[float, str, str]] = []
    for (kind, targets), values in seconds.items():
        points = " ".join(f"{_x(size, sizes):.1f},{_y(value):.1f}" for size, value in zip(sizes, values, strict=True))
        dash = ' stroke-dasharray="6 5"' if kind == "warm" else ""
        parts.append(f'<polyline points="{points}" fill="none" stroke="{_COLORS[targets]}" stroke-width="2"{dash}/>')
        text = f"{kind}, {targets} target{'s' if targets > 1 else ''}: {values[-1]:.2g} s"
        ends.append((_y(values[-1]) + 4, text, _COLORS[targets]))
    position = 0.0
    for due, text, color in sorted(ends):
        # Curves may end beside each other, and their names may not.
        position = max(due, position + 15)
        parts.append(_label(_x(sizes[-1], sizes) + 8, position, text, "start", color))
    steepest = f"{_x(sizes[0], sizes):.1f},{_y(_DECADES[0]):.1f} {_x(sizes[-1], sizes):.1f},{_y(_DECADES[0] * sizes[-1] / sizes[0]):.1f}"
    parts.append(f'<polyline points="{steepest}" fill="none" stroke="#999" stroke-dasharray="2 4"/>')
    parts.append(_label(_x(sizes[0], sizes) + 30, _y(_DECADES[0]) - 4, "linear", "start", "#777"))
    return "\n".join([*parts, "</svg>\n"])


def _x(size: float, sizes: Sequence[int]) -> float:
    low, high = log10(sizes[0]), log10(sizes[-1])
    return _LEFT + 20 + (log10(size) - low) / (high - low) * 420


def _y(value: float) -> float:
    low, high = log10(_DECADES[0]), log10(_DECADES[-1])
    return _BOTTOM - (log10(max(value, _DECADES[0])) - low) / (high - low) * (_BOTTOM - _TOP)


def _rule(value: float) -> str:
    position = _y(value)
    line = f'<line x1="{_LEFT}" x2="{_LEFT + 450}" y1="{position:.1f}" y2="{position:.1f}" stroke="#ddd"/>'
    return line + _label(_LEFT - 8, position + 4, f"{value:g}", "end", "#555")


def _label(x: float, y: float, text: str, anchor: str, color: str = "#222") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}">{text}</text>'
