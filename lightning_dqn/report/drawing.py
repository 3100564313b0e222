"""Curves and profiles as SVG, in the page's own colours and letters.

What is drawn has stand-ins for colours, which are put in terms of the page's style sheet, so that
a picture is light or dark as the page is. A line is told by its colour, its dashes and its marks.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_dqn.report.panels import Panel
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.study.curve import PLOT_HINT, Curve
from lightning_dqn.study.profiles import Profile

COLORS = 6
"""Of lines, ``--series-0`` and on in the style sheet."""

_DASHES: tuple[Any, ...] = (
    "solid",
    (0, (6, 2)),
    (0, (2, 1.5)),
    (0, (8, 2, 2, 2)),
    (0, (4, 1.5, 1, 1.5, 1, 1.5)),
)
_MARKS = "osD^vXP*"
_INK, _GRID, _RUN = "#010203", "#010204", "#010205"
_SERIES = [f"#0a0b{number:02x}" for number in range(COLORS)]
_IN_THE_PAGE = {
    _INK: "var(--quiet)",
    _GRID: "var(--rule)",
    _RUN: "var(--quiet)",
    **{color: f"var(--series-{number})" for number, color in enumerate(_SERIES)},
}
_SETTINGS: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.size": 10,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor"), _INK),
    **dict.fromkeys(("xtick.color", "ytick.color"), _INK),
    "grid.color": _GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def check_installed() -> None:
    """Refuse to draw without the package that does.

    Raises:
        ConfigError: it names the extra to install.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"report: matplotlib is missing: {PLOT_HINT}") from error


def draw_panel(panel: Panel, name: str, size: tuple[float, float]) -> str:
    """Return the SVG of curves with their bands.

    Args:
        panel: what is drawn.
        name: of the picture, no other one's on the page.
        size: width and height in inches, which its letters are 10 / 72 of.
    """

    def draw(axes: Any) -> None:
        for run in panel.runs:
            axes.plot(*run, color=_RUN, linewidth=0.7, alpha=0.55)
        for label, curve in panel.curves.items():
            _draw_curve(axes, panel.places[label], curve)
        axes.set(xlabel="env steps")
        axes.set_xlim(left=0)
        axes.xaxis.set_major_formatter(lambda value, _: steps_text(value))

    return _svg(draw, name, size)


def _draw_curve(axes: Any, number: int, curve: Curve) -> None:
    style = _style(number)
    axes.plot(curve.env_steps, curve.iqm, **style, markevery=_marked(number, len(curve.env_steps)))
    if not np.isnan(curve.low).all():
        axes.fill_between(
            curve.env_steps, curve.low, curve.high, fc=style["color"], alpha=0.18, lw=0
        )


def draw_profiles(profiles: Mapping[str, Profile], what: str, name: str) -> str:
    """Return the SVG of performance profiles with their bands; see :func:`draw_panel`."""

    def draw(axes: Any) -> None:
        for number, one in enumerate(profiles.values()):
            style = _style(number)
            marked = _marked(number, len(one.thresholds))
            axes.step(one.thresholds, one.share, where="post", **style, markevery=marked)
            if one.low is not None and one.high is not None:
                ends = (one.low, one.high)
                axes.fill_between(
                    one.thresholds, *ends, step="post", fc=style["color"], alpha=0.18, lw=0
                )
        axes.set(xlabel=f"{what} τ", ylabel="share of runs above τ", ylim=(-0.02, 1.04))

    return _svg(draw, name, (6.0, 3.2))


def swatch(number: int) -> str:
    """Return the SVG of a line's sample, for a key beside the pictures."""

    def draw(axes: Any) -> None:
        axes.plot([0, 1, 2], [0, 0, 0], **_style(number), markevery=[1])
        axes.set_axis_off()

    return _svg(draw, f"swatch{number}", (0.55, 0.18))


def steps_text(value: float) -> str:
    """Return env steps as an axis has them: 800, 20k, 1.5M."""
    for unit, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= unit:
            return f"{value / unit:.4g}{letter}"
    return f"{value:.4g}"


def _style(number: int) -> dict[str, Any]:
    return {
        "color": _SERIES[number % COLORS],
        "linestyle": _DASHES[number % len(_DASHES)],
        "marker": _MARKS[number % len(_MARKS)],
        "markersize": 4.5,
        "linewidth": 1.8,
    }


def _marked(number: int, points: int) -> Sequence[int]:
    """Return which points of a line have marks: about six, other ones than those beside it."""
    step = max(1, points // 6)
    return range(min(points - 1, number * step // 8), points, step)


def _svg(draw: Any, name: str, size: tuple[float, float]) -> str:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    settings: Any = {**_SETTINGS, "svg.hashsalt": name}
    with mpl.rc_context(settings):
        figure = Figure(figsize=size, layout="constrained", facecolor="none")
        axes = figure.add_subplot(facecolor="none")
        axes.grid(linewidth=0.6)
        draw(axes)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return _for_page(out.getvalue(), name)


def _for_page(svg: str, name: str) -> str:
    """Return a picture that stands in a page: no header, its own names, the page's colours."""
    own = r"\s*<(metadata|style)[ >].*?</\1>"  # a style would be one of the whole page
    body = re.sub(own, "", svg[svg.index("<svg") :], flags=re.DOTALL)
    body = re.sub(r'"[^"]*"', _rounded, body)  # of places, never of a text that is shown
    body = re.sub(r'(?<= id=")', f"{name}-", body)
    body = re.sub(r"(?<=url\(#)", f"{name}-", body)
    body = re.sub(r'(?<=href="#)', f"{name}-", body)
    body = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font-size: \1", body)
    body = re.sub(r"font-family: [^;\"]*;?", "", body)
    body = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', _opening, body, count=1)
    for color, variable in _IN_THE_PAGE.items():
        body = body.replace(color, variable)
    return re.sub(r"\n\s*", "\n", body).strip()


def _rounded(attribute: re.Match[str]) -> str:
    return re.sub(r"\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}", attribute[0])


def _opening(found: re.Match[str]) -> str:
    return f'<svg viewBox="{found[1]}" aria-hidden="true" focusable="false">'


def ends_of(curve: Curve) -> tuple[float, float, float]:
    """Return a curve's first value, its last one, and the last env step."""
    values: NDArray[np.float64] = curve.iqm
    return float(values[0]), float(values[-1]), float(curve.env_steps[-1])
