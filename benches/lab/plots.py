"""Bars as SVG: upright and in groups, or lying one below the other."""

import math
from xml.sax.saxutils import escape

COLOURS = ["#1f6fb4", "#d9822b", "#8a8f98", "#3a9e6b", "#a3559e", "#c44e52"]
WIDTH, LEFT, RIGHT, TOP = 720, 70, 24, 60
UPRIGHT_HEIGHT, LEGEND, BOTTOM = 270, 26, 34
LYING_BAR, LYING_GAP, LYING_NAMES = 26, 10, 190


def bars(title, unit, groups, series):
    """`series` is a dict of name to one value for each group; None leaves a bar out."""
    if len(groups) == 1:
        return _lying(title, unit, {name: values[0] for name, values in series.items()})
    return _upright(title, unit, groups, series)


def _upright(title, unit, groups, series):
    step, top = _scale(max(value for values in series.values() for value in values if value is not None))
    head = TOP + LEGEND
    foot = head + UPRIGHT_HEIGHT
    parts = []
    for value in _ticks(step, top):
        y = foot - UPRIGHT_HEIGHT * value / top
        parts += [_line(LEFT, y, WIDTH - RIGHT, y), _text(LEFT - 8, y + 4, _number(value), anchor="end")]
    room = (WIDTH - LEFT - RIGHT) / len(groups)
    width = min(60.0, room * 0.84 / len(series))
    for place, group in enumerate(groups):
        shown = [(number, values[place]) for number, values in enumerate(series.values())
                 if values[place] is not None]
        middle = LEFT + room * (place + 0.5)
        parts.append(_text(middle, foot + 20, group, anchor="middle"))
        for at, (number, value) in enumerate(shown):
            x = middle + (at - len(shown) / 2) * width
            height = UPRIGHT_HEIGHT * value / top
            parts.append(_bar(x + 2, foot - height, width - 4, height, number))
            parts.append(_label(x + width / 2, foot - height - 5, value, "middle"))
    return _drawing(title, unit, foot + BOTTOM, _legend(series) + parts)


def _lying(title, unit, values):
    """Names stand beside their bars, which needs no legend and no guessing of colours."""
    step, top = _scale(max(values.values()))
    foot = TOP + len(values) * (LYING_BAR + LYING_GAP) + LYING_GAP
    length = WIDTH - LYING_NAMES - RIGHT - 30
    parts = []
    for value in _ticks(step, top):
        x = LYING_NAMES + length * value / top
        parts += [_line(x, TOP, x, foot), _text(x, foot + 18, _number(value), anchor="middle")]
    for place, (name, value) in enumerate(values.items()):
        y = TOP + LYING_GAP + place * (LYING_BAR + LYING_GAP)
        middle = y + LYING_BAR / 2 + 4
        own = 0 if name.startswith("glance") or place == 0 else 2
        parts.append(_text(LYING_NAMES - 10, middle, name, anchor="end"))
        parts.append(_bar(LYING_NAMES, y, length * value / top, LYING_BAR, own))
        parts.append(_label(LYING_NAMES + length * value / top + 6, middle, value, "start"))
    return _drawing(title, unit, foot + BOTTOM, parts)


def _drawing(title, unit, height, parts):
    head = [f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
            _text(16, 24, title, size=16, weight="bold"), _text(16, 44, unit, fill="#555555")]
    body = "\n".join(head + parts)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'font-family="sans-serif">\n{body}\n</svg>\n')


def _legend(series):
    x, parts = LEFT, []
    for number, name in enumerate(series):
        parts += [_bar(x, TOP, 12, 12, number), _text(x + 17, TOP + 10, name)]
        x += 34 + 7 * len(name)
    return parts


def _bar(x, y, width, height, colour):
    return (f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
            f'fill="{COLOURS[colour % len(COLOURS)]}"/>')


def _label(x, y, value, anchor):
    """A value, on a rim of white that keeps lines from running through it."""
    words = _number(value)
    rim = (f'<text x="{x:.1f}" y="{y:.1f}" font-size="11" text-anchor="{anchor}" stroke="#ffffff" '
           f'stroke-width="4" stroke-linejoin="round">{words}</text>')
    return rim + _text(x, y, words, size=11, anchor=anchor)


def _line(x1, y1, x2, y2):
    return f'<line x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1:.1f}" y2="{y2:.1f}" stroke="#dddddd"/>'


def _text(x, y, words, size=12, anchor="start", weight="normal", fill="#222222"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" '
            f'fill="{fill}">{escape(str(words))}</text>')


def _number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _scale(most):
    """A round distance between lines, and a round top with room for a label above `most`."""
    rough = (most or 1) * 1.05 / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(times * power for times in (1, 2, 2.5, 5, 10) if times * power >= rough)
    return step, step * math.ceil((most or 1) * 1.05 / step)


def _ticks(step, top):
    return [number * step for number in range(round(top / step) + 1)]
