"""How long one core needs for a still life; there is no peer to compare with."""

import itertools
import time
from collections.abc import Iterator

from benchmarks.timing import Row
from cvlab.data import StillLife

NOTES = """
Time of one core for one item, tensors included, the mean of twenty different items: 10 ms are 100 images a second.
"""


def rows() -> Iterator[Row]:
    """Give the default settings at two sizes, and a large table."""
    for height, width in ((128, 128), (256, 256), (480, 720)):
        data = StillLife((height, width))
        yield Row(f"`StillLife` {height} x {width}", MeanItem(data), {}, seconds=5.0)


class MeanItem:
    """Measures the processor time of an item, as the mean of twenty that were not asked for before."""

    def __init__(self, data: StillLife) -> None:
        self.data, self.index = data, itertools.count()

    def __call__(self) -> float:
        """Render twenty items and return the seconds of one."""
        start = time.process_time()
        for i in itertools.islice(self.index, 20):
            self.data[i]
        return (time.process_time() - start) / 20
