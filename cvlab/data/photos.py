"""Real photographs that need no download: scikit-image and scikit-learn carry them in their wheels.

Some come with boxes drawn by hand for this book, so that the first chapters have real ground truth to look at.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from cvlab.data import files

Box = tuple[str, tuple[int, int, int, int]]


@dataclass(frozen=True)
class Photo:
    """What is known about a photograph.

    Attributes:
        name: what `load` takes.
        title: what it shows.
        author: who made it.
        licence: the terms it is shared under.
        source: where the library that carries it says it is from.
        package: the library that carries it.
        file: its path inside that library.
        boxes: hand-drawn ground truth, (label, (x1, y1, x2, y2)) in pixels, half-open.
    """

    name: str
    title: str
    author: str
    licence: str
    source: str
    package: str
    file: str
    boxes: tuple[Box, ...] = field(default=())

    @property
    def labels(self) -> list[str]:
        """The boxes' labels, in order."""
        return [label for label, _ in self.boxes]

    @property
    def xyxy(self) -> torch.Tensor:
        """The boxes as a float32 tensor (N, 4), xyxy."""
        return torch.tensor([box for _, box in self.boxes], dtype=torch.float32).reshape(-1, 4)


def _sk(name: str, title: str, author: str, licence: str, source: str, file: str, boxes: tuple[Box, ...] = ()) -> Photo:
    return Photo(name, title, author, licence, source, "skimage", f"data/{file}", boxes)


_CHELSEA = (
    ("cat", (0, 0, 400, 300)),
    ("eye", (134, 84, 207, 148)),
    ("eye", (296, 109, 344, 165)),
    ("nose", (231, 227, 293, 268)),
)
_ASTRONAUT = (
    ("person", (19, 15, 365, 512)),
    ("face", (177, 62, 277, 183)),
    ("helmet", (277, 343, 512, 512)),
    ("shuttle model", (354, 0, 473, 288)),
    ("flag", (0, 0, 101, 512)),
    ("patch", (132, 348, 209, 424)),
)
_COFFEE = (
    ("cup", (173, 17, 409, 308)),
    ("spoon", (325, 66, 425, 327)),
    ("saucer", (77, 68, 479, 390)),
)
_ROCKET = (
    ("rocket", (308, 125, 336, 408)),
    ("tower", (0, 0, 89, 427)),
    ("tower", (164, 122, 206, 427)),
    ("tower", (438, 121, 481, 427)),
    ("tower", (558, 0, 640, 427)),
)

_PHOTOS = {
    photo.name: photo
    for photo in (
        _sk(
            "astronaut",
            "The astronaut Eileen Collins",
            "NASA",
            "public domain (no known copyright restrictions)",
            "NASA Great Images, https://flic.kr/p/r9qvLn",
            "astronaut.png",
            _ASTRONAUT,
        ),
        _sk(
            "brick",
            "A brick wall (grey)",
            "CC0Textures",
            "CC0 1.0",
            "https://cc0textures.com/view.php?tex=Bricks25",
            "brick.png",
        ),
        _sk("camera", "A man with a camera (grey)", "Lav Varshney", "CC0 1.0", "scikit-image", "camera.png"),
        _sk("chelsea", "Chelsea the cat", "Stefan van der Walt", "CC0 1.0", "scikit-image", "chelsea.png", _CHELSEA),
        _sk(
            "coffee",
            "A cup of coffee, courtesy of Pikolo Espresso Bar",
            "Rachel Michetti",
            "CC0 1.0",
            "scikit-image",
            "coffee.png",
            _COFFEE,
        ),
        _sk(
            "coins",
            "Greek coins from Pompeii (grey)",
            "Brooklyn Museum",
            "no known copyright restrictions",
            "https://www.brooklynmuseum.org/opencollection/archives/image/51611",
            "coins.png",
        ),
        _sk(
            "grass",
            "Grass (grey)",
            "linolafett",
            "CC0 1.0",
            "https://www.deviantart.com/linolafett/art/Grass-01-434853879",
            "grass.png",
        ),
        _sk(
            "gravel",
            "Gravel (grey)",
            "CC0Textures",
            "CC0 1.0",
            "https://cc0textures.com/view.php?tex=Gravel04",
            "gravel.png",
        ),
        _sk(
            "hubble",
            "The Hubble eXtreme Deep Field",
            "NASA",
            "public domain",
            "http://hubblesite.org/newscenter/archive/releases/2012/37/image/a/",
            "hubble_deep_field.jpg",
        ),
        _sk(
            "rocket",
            "A Falcon 9 with DSCOVR on the launch pad",
            "SpaceX",
            "public domain",
            "https://www.flickr.com/photos/spacexphotos/16511594820/",
            "rocket.jpg",
            _ROCKET,
        ),
        Photo(
            "china",
            "A temple in China",
            "danielbuechele",
            "CC BY 2.0",
            "https://www.flickr.com/photos/danielbuechele/6061409035/",
            "sklearn",
            "datasets/images/china.jpg",
        ),
        Photo(
            "flower",
            "A dahlia",
            "vultilion (the library's text credits danielbuechele, but links to vultilion)",
            "CC BY 2.0",
            "https://www.flickr.com/photos/vultilion/6056698931/",
            "sklearn",
            "datasets/images/flower.jpg",
        ),
    )
}


def names() -> list[str]:
    """List the photographs' names.

    Example:
        >>> "chelsea" in names()
        True
    """
    return sorted(_PHOTOS)


def info(name: str) -> Photo:
    """Return a photograph's title, author, licence, source and boxes.

    Args:
        name: one of `names()`.

    Returns:
        A `Photo`.

    Raises:
        ValueError: if there is no photograph of that name.

    Example:
        >>> info("chelsea").author, info("chelsea").labels[0]
        ('Stefan van der Walt', 'cat')
    """
    if name not in _PHOTOS:
        raise ValueError(f"photos: there is no photograph {name!r}; there are {', '.join(names())}")
    return _PHOTOS[name]


def _path(photo: Photo) -> Path:
    spec = importlib.util.find_spec(photo.package)  # finds the library without importing it
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"photos: {photo.name!r} comes with {photo.package}, which is not installed")
    return Path(spec.origin).parent / photo.file


@lru_cache(maxsize=4)
def _pixels(path: Path) -> np.ndarray:
    return files.decode(path)


def load(name: str, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Load a photograph.

    Args:
        name: one of `names()`.
        dtype: torch.float32 for values in [0, 1], or torch.uint8 for 0 to 255.

    Returns:
        (3, H, W) of that dtype; grey photographs have three equal channels.

    Raises:
        ValueError: if there is no photograph of that name, or the dtype is another.
        FileNotFoundError: if the installed library does not carry it.

    Example:
        >>> load("chelsea").shape
        torch.Size([3, 300, 451])
    """
    path = _path(info(name))
    if not path.is_file():
        raise FileNotFoundError(f"photos: the installed {info(name).package} does not carry {info(name).file}")
    return files.as_tensor(_pixels(path), dtype, "photos.load")
