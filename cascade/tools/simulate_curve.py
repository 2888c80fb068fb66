"""Rehearsals with ever more workers → a curve, and its knee: where more of them stop paying.

In: a scene. Out: a `Curve`, which shows itself as text and as SVG. Invariant: every point is a rehearsal of its own,
but where the one before had a worker left over all the time: more can change nothing then.

The knee is that of Kneedle (Satopää, Albrecht, Irwin, Raghavan 2011, "Finding a 'Kneedle' in a Haystack"): both axes
are scaled to 0…1, and the knee is the point farthest below the straight line from the first point to the last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cascade.interfaces.exceptions import SettingError
from cascade.messaging.catalogue import in_seconds
from cascade.messaging.renderer import one_line
from cascade.tools.simulate_run import Rehearsal
from cascade.tools.simulate_terms import Workers

if TYPE_CHECKING:
    from cascade.graph.markup import Markup
    from cascade.tools.simulate_terms import Scene, Trace

__all__ = ["Curve", "find_knee", "make_curve", "worker_counts"]

_ALL_UP_TO: Final = 16
_MOST: Final = 256
_FLAT: Final = 1e-9
_BAR: Final = 32  # characters
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 460.0, 200.0, 64.0, 38.0, 26.0, 16.0
_BLUE, _ORANGE, _GREY = "#0072b2", "#a84300", "#4d4d4d"  # Okabe–Ito, dark enough for text on white


@dataclass(frozen=True, slots=True)
class Curve:
    """How long a run takes with so many workers.

    Args:
        workers: numbers, growing. makespans: seconds, for each of them. name: of what would run.
    """

    workers: tuple[int, ...]
    makespans: tuple[float, ...]
    name: str = ""

    @property
    def knee(self) -> int:
        """The number of workers beyond which more hardly pay (Kneedle)."""
        return find_knee(self.workers, self.makespans)

    def __iter__(self) -> Iterator[tuple[int, float]]:
        """Yield pairs of a number of workers and seconds."""
        return iter(zip(self.workers, self.makespans, strict=True))

    def __getitem__(self, workers: int) -> float:
        """Return the seconds with so many workers."""
        try:
            return self.makespans[self.workers.index(workers)]
        except ValueError:
            known = f"{self.workers[0]:,} to {self.workers[-1]:,}"
            raise KeyError(f"The curve has no point for {workers!r} workers, only some from {known}.") from None

    def __len__(self) -> int:
        """How many points there are."""
        return len(self.workers)

    def __str__(self) -> str:
        """Return a bar for each number of workers; the knee is marked."""
        longest, knee = max(self.makespans), self.knee
        rows = [(f"{count:,}", in_seconds(seconds), seconds) for count, seconds in self]
        widths = [max(len(row[column]) for row in rows) for column in (0, 1)]  # type: ignore[arg-type]
        lines = [f"{one_line(self.name)}: seconds by number of workers"]
        for (count, told, seconds), workers in zip(rows, self.workers, strict=True):
            bar = "█" * max(1, round(_BAR * seconds / longest)) if longest else ""
            mark = "  ◀ knee" if workers == knee else ""
            lines.append(f"{count:>{widths[0]}}  {told:>{widths[1]}}  {bar}{mark}".rstrip())
        first, at_knee, last = self.makespans[0], self[knee], self.makespans[-1]
        if at_knee:
            lines.append(
                f"knee: {_workers(knee)}, {first / at_knee:.2g} times as fast as {self.workers[0]:,}; "
                f"{self.workers[-1]:,} would be {first / last if last else 1:.2g} times as fast"
            )
        return "\n".join(lines)

    def __repr__(self) -> str:
        """Show the chart."""
        return str(self)

    def _repr_mimebundle_(
        self,
        include: object = None,  # noqa: ARG002 - as IPython calls it
        exclude: object = None,  # noqa: ARG002
    ) -> dict[str, str]:
        """Show a small chart in a notebook."""
        from base64 import b64encode

        from cascade.graph.markup import element

        knee = self.knee
        told = f"{one_line(self.name)}: {in_seconds(self[knee])} with {_workers(knee)}, the knee of the curve"
        data = b64encode(str(self.to_svg()).encode()).decode("ascii")
        image = element("img", {"alt": told, "src": f"data:image/svg+xml;base64,{data}", "style": "max-width:100%"})
        return {"text/plain": str(self), "text/html": str(element("div", None, image))}

    def to_svg(self) -> Markup:
        """Return the chart as SVG: the curve, a dot for each point, and a line at the knee, told in words, too."""
        from cascade.graph.markup import element

        knee, top = self.knee, max(self.makespans) or 1.0
        first, last = self.workers[0], max(self.workers[-1], self.workers[0] + 1)

        def across(count: float) -> float:
            return round(_LEFT + (count - first) / (last - first) * (_WIDTH - _LEFT - _RIGHT), 2)

        def down(seconds: float) -> float:
            return round(_HEIGHT - _BOTTOM - seconds / top * (_HEIGHT - _BOTTOM - _TOP), 2)

        points = " ".join(f"{across(count)},{down(seconds)}" for count, seconds in self)
        grey, small = {"fill": _GREY, "font-size": 11}, {"fill": _GREY, "font-size": 11, "text-anchor": "end"}
        parts = [
            element("title", None, f"Seconds of {one_line(self.name)} by number of workers"),
            element("rect", {"width": _WIDTH, "height": _HEIGHT, "rx": 6, "fill": "#ffffff"}),  # for dark pages
            element("line", {"x1": _LEFT, "y1": down(0), "x2": _WIDTH - _RIGHT, "y2": down(0), "stroke": _GREY}),
            element("line", {"x1": _LEFT, "y1": down(0), "x2": _LEFT, "y2": _TOP, "stroke": _GREY}),
            element("text", {**small, "x": _LEFT - 6, "y": down(top) + 4}, in_seconds(top)),
            element("text", {**small, "x": _LEFT - 6, "y": down(0) + 4}, "0 s"),
            element("text", {**grey, "x": _LEFT, "y": _HEIGHT - _BOTTOM + 16}, f"{first:,}"),
            element("text", {**small, "x": _WIDTH - _RIGHT, "y": _HEIGHT - _BOTTOM + 16}, f"{last:,} workers"),
            element("polyline", {"points": points, "fill": "none", "stroke": _BLUE, "stroke-width": 2}),
        ]
        parts += [
            element("circle", {"cx": across(count), "cy": down(seconds), "r": 2.5, "fill": _BLUE},
                    element("title", None, f"{_workers(count)}: {in_seconds(seconds)}"))
            for count, seconds in self
        ]  # fmt: skip
        x, y = across(knee), down(self[knee])
        is_right = x > _WIDTH / 2
        parts += [
            element("line", {"x1": x, "y1": down(0), "x2": x, "y2": y, "stroke": _ORANGE, "stroke-dasharray": "4 3"}),
            element("circle", {"cx": x, "cy": y, "r": 5, "fill": "none", "stroke": _ORANGE, "stroke-width": 2}),
            element(
                "text",
                {"x": x - 8 if is_right else x + 8, "y": y - 9, "fill": _ORANGE, "font-size": 12,
                 "text-anchor": "end" if is_right else None},
                f"knee: {_workers(knee)}, {in_seconds(self[knee])}",
            ),
        ]  # fmt: skip
        size = {"width": _WIDTH, "height": _HEIGHT, "viewBox": f"0 0 {_WIDTH:g} {_HEIGHT:g}"}
        style = "font-family:system-ui,sans-serif;max-width:100%"
        return element("svg", {"xmlns": "http://www.w3.org/2000/svg", "role": "img", **size, "style": style}, *parts)


def _workers(count: int) -> str:
    return "1 worker" if count == 1 else f"{count:,} workers"


def find_knee(workers: Iterable[int], makespans: Iterable[float]) -> int:
    """Return the number of workers at the knee of the curve, by Kneedle; the smallest if more never pay.

    What a few more workers make longer (list scheduling has such anomalies: Graham 1966) counts as no longer.

    Example:
        >>> find_knee([1, 2, 3, 4, 5, 6], [60, 30, 20, 19, 18.5, 18])
        3
    """
    counts = list(workers)
    lows: list[float] = []
    for seconds in makespans:
        lows.append(min(seconds, lows[-1]) if lows else seconds)
    fall = lows[0] - lows[-1]
    if fall <= _FLAT * max(lows[0], _FLAT):
        return counts[0]
    span = counts[-1] - counts[0]
    gains = [
        round((lows[0] - low) / fall - (count - counts[0]) / span, 9) for count, low in zip(counts, lows, strict=True)
    ]  # how far below the straight line, on scaled axes; of equals the first
    return counts[gains.index(max(gains))]


def worker_counts(peak: int) -> tuple[int, ...]:
    """Return the numbers that a curve tries by itself: all up to 16, then ever wider steps, up to `peak` or 256.

    Example:
        >>> worker_counts(3), worker_counts(30)
        ((1, 2, 3), (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 20, 25, 30))
    """
    most = max(1, min(peak, _MOST))
    counts = list(range(1, min(most, _ALL_UP_TO) + 1))
    while counts[-1] < most:
        counts.append(min(most, counts[-1] + max(1, counts[-1] // 4)))
    return tuple(counts)


def make_curve(scene: Scene, counts: Iterable[int] | None, known: Mapping[int, Trace]) -> Curve:
    """Rehearse `scene` with each number of workers; None: as many as could make a difference.

    Args:
        known: traces that are there already, by the number of workers.

    Raises:
        SettingError: when there is no number, or one is below 1.
    """
    if counts is None:
        peak = Rehearsal(scene, Workers.of(_MOST)).run().peak
        counts = worker_counts(peak[1])
    if not isinstance(counts, Iterable):
        raise SettingError(f"workers= of a curve takes several numbers, as in range(1, 17), not {counts!r}.")
    numbers = sorted(set(counts))
    if not numbers:
        raise SettingError("workers= of a curve is empty. Give numbers of workers, as in range(1, 17).")
    makespans: list[float] = []
    enough = False
    for number in numbers:
        workers = Workers.of(number)
        if not enough:
            trace = known.get(number) or Rehearsal(scene, workers).run()
            enough = trace.peak[1] < number  # a worker was free at every moment
            seconds = trace.makespan
        makespans.append(seconds)
    return Curve(tuple(numbers), tuple(makespans), scene.graph.name)
