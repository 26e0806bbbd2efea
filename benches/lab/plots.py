"""Grouped bars as SVG."""

from xml.sax.saxutils import escape

COLOURS = ["#1f6fb4", "#d9822b", "#8a8f98", "#3a9e6b", "#a3559e", "#c44e52"]
WIDTH, HEIGHT = 720, 360
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 78, 44


def bars(title, unit, groups, series):
    """`series` is a dict of name to one value for each group."""
    top = nice_top(max(max(values) for values in series.values()))
    scale = (HEIGHT - TOP - BOTTOM) / top
    parts = [f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
             text(LEFT, 24, title, size=16, weight="bold"), text(LEFT, 44, unit, fill="#555555")]
    for step in range(5):
        value = top * step / 4
        y = HEIGHT - BOTTOM - value * scale
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dddddd"/>')
        parts.append(text(LEFT - 8, y + 4, f"{value:g}", anchor="end"))
    parts += _legend(series)
    room = (WIDTH - LEFT - RIGHT) / len(groups)
    width = min(60.0, room * 0.8 / len(series))
    for place, group in enumerate(groups):
        middle = LEFT + room * (place + 0.5)
        parts.append(text(middle, HEIGHT - BOTTOM + 20, group, anchor="middle"))
        for number, (name, values) in enumerate(series.items()):
            x = middle + (number - len(series) / 2) * width
            height = values[place] * scale
            y = HEIGHT - BOTTOM - height
            parts.append(f'<rect x="{x + 2:.1f}" y="{y:.1f}" width="{width - 4:.1f}" height="{height:.1f}" '
                         f'fill="{COLOURS[number % len(COLOURS)]}"><title>{escape(name)}</title></rect>')
            parts.append(text(x + width / 2, y - 4, f"{values[place]:.3g}", size=11, anchor="middle"))
    body = "\n".join(parts)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'font-family="sans-serif">\n{body}\n</svg>\n')


def _legend(series):
    x, parts = LEFT, []
    for number, name in enumerate(series):
        parts.append(f'<rect x="{x}" y="54" width="12" height="12" fill="{COLOURS[number % len(COLOURS)]}"/>')
        parts.append(text(x + 17, 64, name))
        x += 34 + 7 * len(name)
    return parts


def text(x, y, words, size=12, anchor="start", weight="normal", fill="#222222"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" '
            f'fill="{fill}">{escape(str(words))}</text>')


def nice_top(value):
    """The next of 1, 2, 4, 5, 8 times a power of ten, with room for a label above."""
    value = (value or 1) * 1.08
    power = 10.0 ** len(str(int(value))) / 10 if value >= 1 else 0.001
    while True:
        for step in (1, 2, 4, 5, 8):
            if step * power >= value:
                return step * power
        power *= 10
