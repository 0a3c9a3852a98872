"""A real detection set, 128 photographs of COCO: the report finds it sound, and finds the faults that are put in."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import ImageFolder

from cvlab.data import read_image
from cvlab.data.balance import class_weights
from cvlab.data.hashing import THRESHOLD, dhash, hamming, near_duplicates
from cvlab.data.report import DataReport
from cvlab.data.splits import split

FOLDER = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "coco128"
pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason="the photographs of COCO are not beside this repository")


class Coco128:
    """The photographs with their boxes: lines of class, centre and size, as shares of the image."""

    def __init__(self):
        self.files = sorted((FOLDER / "images").glob("*.jpg"))

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        image = read_image(self.files[index], torch.uint8)
        lines = FOLDER / "boxes" / f"{self.files[index].stem}.txt"
        numbers = np.loadtxt(lines, ndmin=2) if lines.exists() else np.zeros((0, 5))
        rows = torch.from_numpy(numbers)
        centre, size = rows[:, 1:3], rows[:, 3:]
        height, width = image.shape[1:]
        boxes = torch.cat((centre - size / 2, centre + size / 2), dim=1) * torch.tensor([width, height] * 2)
        return image, {"boxes": boxes.float(), "labels": rows[:, 0].long() + 1}


@pytest.fixture(scope="module")
def report():
    return DataReport.from_datasets({"train": Coco128()})


@pytest.fixture(scope="module")
def images():
    return [read_image(file, torch.uint8) for file in Coco128().files]


def test_it_is_sound(report):
    assert report.ok
    assert [(note.kind, note.where) for note in report.notes] == [
        ("no objects", ("train[42]",)),
        ("no objects", ("train[92]",)),
    ]


def test_its_numbers_are_those_of_its_files(report):
    texts = [FOLDER / "boxes" / f"{file.stem}.txt" for file in Coco128().files]
    lines = [line for text in texts if text.exists() for line in text.read_text().splitlines()]
    people = [line for line in lines if line.split()[0] == "0"]
    assert len(report.pictures) == len(list((FOLDER / "images").iterdir())) == 128
    assert sum(objects for objects, _ in report.counts("train").values()) == len(lines) == 929
    assert report.counts("train")["1"] == (len(people), 61)
    assert report.classes[0] == "1"
    sizes = [Image.open(file).size[::-1] for file in Coco128().files]
    assert [picture.size for picture in report.pictures] == sizes


def test_copies_are_found_whatever_was_done_to_them(images):
    """8128 pairs of different photographs, none alike; and each one's copy at half the size is found."""
    hashes = [dhash(image) for image in images]
    assert near_duplicates(hashes) == []
    for image, known in zip(images, hashes, strict=True):
        picture = Image.fromarray(image.permute(1, 2, 0).numpy())
        small = picture.resize((picture.width // 2, picture.height // 2))
        copy = torch.from_numpy(np.array(small)).permute(2, 0, 1)
        assert hamming(known, dhash(copy)) <= THRESHOLD


def test_faults_that_are_put_in_are_found(images):
    class Spoiled(Coco128):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            image, target = super().__getitem__(index)
            if index == 1:
                target["boxes"] = target["boxes"] / max(image.shape)
            if index == 2:
                target["boxes"][0] = target["boxes"][0][[2, 1, 0, 3]]
            return (images[0] if index == 3 else image), target

    found = DataReport.from_datasets({"train": Spoiled(), "val": Coco128()}, limit=4).problems
    assert [(problem.kind, problem.where) for problem in found if problem.kind == "box"][:2] == [
        ("box", ("train[1]",)),
        ("box", ("train[2] box 0",)),
    ]
    assert ("leak", ("train[0]", "val[0]", "train[3]")) in [(problem.kind, problem.where) for problem in found]


def test_a_folder_is_read_as_torchvision_reads_it(tmp_path):
    for i, file in enumerate(Coco128().files[:12]):
        home = tmp_path / ("odd", "even")[i % 2] / ("", "deeper")[i % 3 == 0]
        home.mkdir(parents=True, exist_ok=True)
        (home / file.name).symlink_to(file)
    theirs = ImageFolder(tmp_path)
    report = DataReport.from_folder(tmp_path)
    assert report.ok
    assert sorted((str(tmp_path / picture.where), picture.labels[0]) for picture in report.pictures) == sorted(
        (path, theirs.classes[label]) for path, label in theirs.samples
    )


def test_its_images_are_split_by_their_most_frequent_class(report):
    """One label for each image, so that it can be stratified: the most frequent of its classes, or none."""
    frequent = {name: rank for rank, name in enumerate(report.classes)}
    labels = torch.tensor([min((frequent[name] for name in p.labels), default=99) for p in report.pictures])
    common = torch.where(labels < 3, labels, 3)
    parts = split(common, (0.75, 0.25))
    assert [len(part) for part in parts] == [96, 32]
    shares = [common[part].bincount(minlength=4) / len(part) for part in parts]
    assert (shares[0] - shares[1]).abs().max() < 0.03
    weights = class_weights(common, 4)
    assert weights[0] == weights.min()  # people are in 61 of 128
