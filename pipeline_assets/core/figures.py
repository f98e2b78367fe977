"""Figures as PNG bytes: the same drawing always gives the same bytes on the same machine."""

import io
from typing import Any


def make_figure(width: float, height: float) -> Any:
    """An empty figure of a size in inches; never by pyplot, which keeps figures for the life of the process."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def to_png(figure: Any) -> bytes:
    """The figure as PNG, without the name of the software and its version."""
    target = io.BytesIO()
    figure.savefig(target, format="png", metadata={"Software": None})
    return target.getvalue()
