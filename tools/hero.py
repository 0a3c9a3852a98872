"""Draw the README's picture again: `python -m tools.hero` writes `book/assets/hero.jpg`."""

from __future__ import annotations

from pathlib import Path

from cvlab import plot
from cvlab.data import StillLife, hero
from cvlab.plot.output import encode

PATH = Path(__file__).resolve().parent.parent / "book" / "assets" / "hero.jpg"


def main() -> None:
    """Render the still life of the front page with its boxes, and save it."""
    plot.style()
    image, truth = hero(size=(640, 960))
    axes = plot.grid([image], width=12)
    plot.boxes(truth["boxes"], axes[0, 0], labels=truth["labels"], names=["background", *StillLife.KINDS])
    PATH.write_bytes(encode(axes[0, 0].figure, "jpeg", density=1.2)[0])
    print(f"wrote {PATH.name}, {PATH.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
