"""The plot of the error over α that calibration pairs show, for the report."""

from deepot.transport import TransportMap
from pipeline.reporting.svg import GUIDE_COLOR, NATURAL_COLOR, figure_to_svg

_STEPS = 50  # for each unit of α


def plot_error_curve(transport: TransportMap, mode: str) -> str:
    """Plot the PSNR against that of x* over α as SVG; an empty text for maps that were fitted without pairs.

    α is from 0 to 1, or to 2 for maps that were fitted with companions.
    """
    if transport.change is None or transport.change.curves is None:
        return ""
    from matplotlib.figure import Figure  # imported here as it takes half a second

    curve = transport.change.curves[mode]
    figure = Figure(figsize=(7, 2.6), layout="constrained")
    axes = figure.subplots()
    axes.axhline(0, color=GUIDE_COLOR, linewidth=1)
    alphas = [step / _STEPS for step in range(_STEPS * (2 if curve.companion else 1) + 1)]
    axes.plot(alphas, [-curve.loss_db(alpha) for alpha in alphas], color=NATURAL_COLOR)
    best = curve.min_error_alpha
    axes.plot([best], [-curve.loss_db(best)], "o", color=NATURAL_COLOR)
    end = "2: mixed with the restorer's input, " if curve.companion else ""
    axes.set_xlabel(f"α ({end}1: the restored photo, 0: full transport)")
    axes.set_ylabel("PSNR against x* (dB)")
    axes.invert_xaxis()
    return figure_to_svg(figure, f"PSNR over α; the error is least at α = {best:.2f}")
