# SPDX-License-Identifier: GPL-2.0-or-later
"""A line over a logarithmic scale, as SVG."""

import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 44, 48
LICENCE = "<!-- SPDX-License-Identifier: GPL-2.0-or-later -->\n"


def _step(most):
    """A round step that cuts the scale in four to ten."""
    power = 10 ** math.floor(math.log10(most / 4))
    return next(power * factor for factor in (1, 2, 5, 10) if most / (power * factor) <= 8)


def line(path, title, x_name, y_name, points):
    """`points`: (x, y), x greater than 0. The scale of y begins at 0, so that a flat line is a flat cost."""
    xs, ys = [math.log10(x) for x, _ in points], [y for _, y in points]
    step = _step(max(ys))
    top = math.ceil(max(ys) * 1.1 / step) * step

    def across(value):
        return LEFT + (value - xs[0]) / (xs[-1] - xs[0]) * (WIDTH - LEFT - RIGHT)

    def up(value):
        return HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM)

    parts = [f'<text x="{LEFT}" y="22" font-weight="bold">{escape(title)}</text>']
    for number in range(round(top / step) + 1):
        value = number * step
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{up(value):.1f}" y2="{up(value):.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{up(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    for (x, _), place in zip(points, xs):
        parts.append(f'<text x="{across(place):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{x:,}</text>')
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x_name)}</text>')
    parts.append(f'<text x="{LEFT}" y="{TOP - 6}">{escape(y_name)}</text>')
    places = [(across(place), up(y)) for place, y in zip(xs, ys)]
    parts.append('<polyline fill="none" stroke="#06c" stroke-width="2" points="'
                 + " ".join(f"{x:.1f},{y:.1f}" for x, y in places) + '"/>')
    parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="#06c"/>' for x, y in places]
    path.write_text(LICENCE + f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
                    'font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="#fff"/>\n'
                    + "\n".join(parts) + "\n</svg>\n")
