import os
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from PIL import Image

from cvlab._check import InputError
from cvlab.data import StillLife, photos, report_folder
from cvlab.data.report import DataReport


def noise(seed, size=(24, 32)):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def save(path, seed, size=(24, 32), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise(seed, size)).save(path, **options)


def found(problems, kind):
    return [str(problem) for problem in problems if problem.kind == kind]


class Items:
    """A data set of given items; an exception among them is raised."""

    def __init__(self, *items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        if isinstance(self.items[index], Exception):
            raise self.items[index]
        return self.items[index]


def picture(seed, size=(24, 32)):
    return torch.from_numpy(noise(seed, size)).permute(2, 0, 1)


def objects(*labels, box=(2.0, 3.0, 12.0, 13.0)):
    return {"boxes": torch.tensor([box] * len(labels)).reshape(-1, 4), "labels": torch.tensor(labels).long()}


# Folders.


@pytest.fixture
def folder(tmp_path):
    for i, place in enumerate(["train/cat", "train/dog", "val/cat", "val/dog"]):
        save(tmp_path / place / "a.png", 2 * i)
        save(tmp_path / place / "deeper" / "b.png", 2 * i + 1, (30, 40))
    return tmp_path


def test_splits_and_classes(folder):
    report = DataReport.from_folder(folder)
    assert report.ok
    assert report.notes == ()
    assert report.splits == ("train", "val")
    assert report.classes == ["cat", "dog"]
    assert report.counts("train") == report.counts("val") == {"cat": (2, 2), "dog": (2, 2)}
    assert [p.where for p in report.pictures][:2] == ["train/cat/a.png", "train/cat/deeper/b.png"]
    assert [p.size for p in report.pictures][:2] == [(24, 32), (30, 40)]


def test_classes_without_splits(folder):
    report = DataReport.from_folder(str(folder / "val"))
    assert report.splits == ("all",)
    assert report.counts("all") == {"cat": (2, 2), "dog": (2, 2)}


def test_a_flat_folder(folder):
    report = DataReport.from_folder(folder / "val" / "cat" / "deeper")
    assert (report.splits, report.classes, len(report.pictures), report.ok) == (("all",), [], 1, True)


def test_splits_come_in_the_order_of_their_use(tmp_path):
    for i, split in enumerate(("Test", "valid", "train")):
        save(tmp_path / split / "cat" / "a.png", i)
    assert DataReport.from_folder(tmp_path).splits == ("train", "valid", "Test")


def test_the_text_of_a_folder(folder):
    (folder / "train/dog/a.png").write_bytes(b"")
    save(folder / "val/cat/leak.png", 0)
    text = str(DataReport.from_folder(folder))
    expected = """\
8 images in 2 splits, 2 classes; 2 problems, 0 notes

split  images        height         width
train       3  24 / 30 / 30  32 / 40 / 40
val         5  24 / 24 / 30  32 / 32 / 40

images of class  train  val
cat                  2    3
dog                  1    2

modes of the files: RGB 8

2 problems
  broken file (1)
    train/dog/a.png is empty (0 bytes)
  leak (1)
    train/cat/a.png and val/cat/leak.png have the same pixels"""
    assert text == expected
    assert str(DataReport.from_folder(folder)) == text
    assert repr(DataReport.from_folder(folder)) == "DataReport(8 images in 2 splits, 2 classes; 2 problems, 0 notes)"


def test_broken_files_are_listed_each_with_its_reason(tmp_path):
    home = tmp_path / "cat"
    save(home / "sound.jpg", 0, (200, 200))
    content = (home / "sound.jpg").read_bytes()
    (home / "cut.jpg").write_bytes(content[: len(content) // 2])
    (home / "empty.png").touch()
    (home / "text.jpg").write_text("no picture")
    (home / "folder.png").mkdir()
    Image.fromarray(np.full((8, 8), 0.5, np.float32)).save(home / "floats.tiff")
    os.symlink(tmp_path / "nowhere", home / "link.png")
    os.mkfifo(home / "pipe.png")
    report = DataReport.from_folder(tmp_path)
    assert [p.where for p in report.pictures] == ["cat/sound.jpg"]
    broken = found(report.problems, "broken file")
    assert len(broken) == len(report.problems) == 7
    assert broken[0].startswith("cat/cut.jpg cannot be read: ")
    assert "truncated" in broken[0]
    assert broken[1:] == [
        "cat/empty.png is empty (0 bytes)",
        "cat/floats.tiff cannot be read: pixels of mode F from 0.5 to 0.5 have no known range",
        "cat/folder.png is a folder, not a file",
        "cat/link.png is a link to nothing",
        "cat/pipe.png is no regular file",
        "cat/text.jpg is not an image that Pillow can read",
    ]
    assert str(tmp_path) not in str(report)


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), RuntimeError("decoder"), MemoryError()])
def test_whatever_a_decoder_raises_is_survived(folder, monkeypatch, error):
    def refuse(path, *_):
        error.filename = str(path)
        raise error

    monkeypatch.setattr(report_folder, "read_image", refuse)
    report = DataReport.from_folder(folder)
    assert not report.pictures
    assert len(found(report.problems, "broken file")) == 8
    assert str(report.problems[0]).startswith("train/cat/a.png cannot be read: ")
    assert str(folder) not in str(report)


def test_an_unreadable_folder_is_survived(folder, monkeypatch):
    real = Path.iterdir

    def refuse(path):
        if path.name == "dog":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(Path, "iterdir", refuse)
    report = DataReport.from_folder(folder)
    assert len(report.pictures) == 4
    assert found(report.problems, "folder")[0] == "train/dog cannot be opened: Permission denied"


def test_what_reading_changes_is_noted(tmp_path):
    layers = np.random.default_rng(0).integers(0, 256, (24, 32, 4), dtype=np.uint8)
    Image.fromarray(layers).save(tmp_path / "clear.png")
    Image.fromarray(layers, mode="CMYK").save(tmp_path / "print.jpg")
    Image.fromarray(layers[..., 0].astype(np.uint16) * 257).save(tmp_path / "deep.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(layers[..., :3]).save(tmp_path / "turned.jpg", exif=exif)
    Image.fromarray(layers[..., 1]).convert("P").save(tmp_path / "palette.png")
    Image.fromarray(layers[..., 2]).save(tmp_path / "grey.png")
    report = DataReport.from_folder(tmp_path)
    assert report.ok
    assert [str(note) for note in report.notes] == [
        "clear.png has transparency (RGBA): it is laid on white",
        "deep.png has more than 8 bits (I;16): they are rounded",
        "print.jpg has colours in CMYK: they are converted to RGB",
        "turned.jpg is stored turned (EXIF orientation 6): boxes must fit it upright",
    ]
    assert {p.where: (p.mode, p.size) for p in report.pictures} == {
        "clear.png": ("RGBA", (24, 32)),
        "deep.png": ("I;16", (24, 32)),
        "grey.png": ("L", (24, 32)),
        "palette.png": ("P", (24, 32)),
        "print.jpg": ("CMYK", (24, 32)),
        "turned.jpg": ("RGB", (32, 24)),
    }
    assert "modes of the files: CMYK 1, I;16 1, L 1, P 1, RGB 1, RGBA 1" in str(report)


def test_what_is_left_out(folder):
    (folder / "train/cat/notes.txt").write_text("")
    (folder / "train/cat/.hidden.png").write_text("")
    (folder / "labels").mkdir()
    save(folder / "outside.png", 90)
    save(folder / "train/loose.png", 91)
    os.symlink("..", folder / "train/dog/back")
    report = DataReport.from_folder(folder)
    assert report.ok
    assert [str(note) for note in report.notes] == [
        "labels is no split",
        "outside.png is no split",
        "train/cat/notes.txt is no image by its name",
        "train/dog/back is a link back to a folder above",
        "train/loose.png is in no class's folder",
    ]


def test_a_linked_folder_is_read(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    save(other / "a.png", 50)
    os.symlink(other, folder / "val/owl")
    assert DataReport.from_folder(folder).counts("val")["owl"] == (1, 1)


def test_an_empty_class(folder):
    (folder / "val/owl").mkdir()
    (folder / "val/owl/readme.txt").write_text("")
    assert found(DataReport.from_folder(folder).problems, "empty class") == ["val/owl holds no image"]


def test_an_empty_folder(tmp_path):
    report = DataReport.from_folder(tmp_path)
    assert (report.ok, len(report.pictures)) == (False, 0)
    assert found(report.problems, "folder") == [". holds no image"]
    assert str(report).startswith("0 images in 1 split, 0 classes; 1 problem, 0 notes")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no file names that are no text")
def test_names_that_cannot_be_printed(tmp_path):
    save(tmp_path / "a.png", 0)
    os.rename(tmp_path / "a.png", os.fsencode(tmp_path) + b"/\xff\n.png")
    report = DataReport.from_folder(tmp_path)
    assert report.pictures[0].where == r"\udcff\n.png"
    str(report).encode()


def test_no_folder(tmp_path):
    save(tmp_path / "a.png", 0)
    for path in (tmp_path / "none", tmp_path / "a.png"):
        with pytest.raises(FileNotFoundError, match=r"DataReport.from_folder: there is no folder '.*(none|a.png)'"):
            DataReport.from_folder(path)


# Copies and leaks.


def test_duplicates_and_leaks(tmp_path):
    chelsea = Image.fromarray(photos.load("chelsea", torch.uint8).permute(1, 2, 0).numpy())
    for place in ("train/cat", "train/dog", "val/cat", "val/dog"):
        (tmp_path / place).mkdir(parents=True)
    for i, name in enumerate(("train/cat/a.png", "train/cat/copy.png", "train/dog/b.png", "val/cat/c.png")):
        save(tmp_path / name, max(i, 1))  # the first two are the same
    save(tmp_path / "train/dog/b2.png", 2)
    save(tmp_path / "val/dog/b3.png", 2)
    save(tmp_path / "val/cat/b4.png", 2)
    chelsea.save(tmp_path / "train/cat/chelsea.png")
    chelsea.resize((200, 130)).save(tmp_path / "train/cat/small.png")
    chelsea.save(tmp_path / "val/cat/chelsea.jpg", quality=30)
    report = DataReport.from_folder(tmp_path)
    assert found(report.problems, "duplicate") == ["train/cat/a.png and train/cat/copy.png have the same pixels"]
    assert found(report.problems, "leak") == [
        "train/dog/b.png, val/cat/b4.png, train/dog/b2.png and val/dog/b3.png "
        "have the same pixels under different labels: cat, dog",
        "train/cat/chelsea.png, val/cat/chelsea.jpg and train/cat/small.png look alike",
    ]
    assert found(report.notes, "near duplicate") == []


def test_near_duplicates_of_one_split_are_a_note():
    image = photos.load("coffee", torch.uint8)
    report = DataReport.from_datasets({"train": Items((image, 0), (image.float() / 255 * 0.9, 0), (picture(1), 0))})
    assert report.ok
    assert found(report.notes, "near duplicate") == ["train[0] and train[1] look alike"]


def test_flat_images_are_not_alike_but_equal_ones_are_duplicates():
    flat = [torch.full((3, 24, 32), level) for level in (0.1, 0.5, 0.5, 0.9)]
    report = DataReport.from_datasets({"train": Items(*((image, 0) for image in flat))})
    assert [str(problem) for problem in report.problems] == ["train[1] and train[2] have the same pixels"]
    assert report.notes == ()


def test_odd_sizes():
    items = [(picture(i), 0) for i in range(4)] + [(picture(9, (24, 129)), 0), (picture(10, (5, 32)), 0)]
    report = DataReport.from_datasets({"train": Items(*items)})
    assert found(report.notes, "odd size") == [  # 129 is above 4 * 32 = 128, and 5 below 24 / 4 = 6
        "train[4] is 24 x 129; the median is 24 x 32",
        "train[5] is 5 x 32; the median is 24 x 32",
    ]


def test_missing_classes():
    data = {"train": Items((picture(0), 0), (picture(1), 2)), "val": Items((picture(2), 2)), "test": Items()}
    report = DataReport.from_datasets(data, names=["cat", "dog", "owl"])
    assert [str(note) for note in report.notes] == ["val lacks cat", "the data set lacks dog"]


def test_many_missing_classes_are_shortened():
    names = ["background", *map(str, range(1, 14))]  # 12 are missing; the background is not asked for
    report = DataReport.from_datasets({"all": Items((picture(0), objects(1)))}, names=names)
    assert [str(note) for note in report.notes] == ["the data set lacks 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 2 more"]


# Data sets.


def test_detection():
    data = Items((picture(0), objects(1, 2, 2)), (picture(1), objects()), (picture(2), objects(2, -1)))
    report = DataReport.from_datasets({"train": data}, names=["background", "cat", "dog"])
    assert report.ok
    assert report.detection
    assert report.counts("train") == {"dog": (3, 2), "cat": (1, 1)}  # one to ignore is not counted
    assert [str(note) for note in report.notes] == ["train[1] shows no object"]
    assert [p.box_sides for p in report.pictures] == [(10.0, 10.0, 10.0), (), (10.0, 10.0)]
    assert (
        str(report)
        == """\
3 images in 1 split, 2 classes; 0 problems, 1 note

split  images  objects  height  width
train       3        4      24     32

objects in images   train
dog                3 in 2
cat                1 in 1

1 note
  no objects (1)
    train[1] shows no object"""
    )


def test_every_fault_of_a_target_names_its_item():
    bad = objects(1, 7, box=(2.0, 3.0, 2.0, 13.0)) | {"masks": torch.zeros(2, 5, 5, dtype=torch.bool)}
    report = DataReport.from_datasets({"val": Items((picture(0), objects(1)), (picture(1), bad))}, names={1: "cat"})
    assert [(problem.kind, str(problem)) for problem in report.problems] == [
        ("box", "val[1] box 0 has x2 <= x1: [2, 3, 2, 13]"),
        ("box", "val[1] box 1 has x2 <= x1: [2, 3, 2, 13]"),
        ("label", "val[1] label 1 is 7, which has no name"),
        ("mask", "val[1] has masks of shape (2, 5, 5) instead of (2, 24, 32)"),
    ]
    assert report.pictures[1].labels == ("cat", "7")
    assert report.pictures[1].box_sides == ()


@pytest.mark.parametrize("boxes", [None, torch.tensor([]), torch.zeros(()), [[0, 0, 1, 1]], torch.ones(2, 5)])
@pytest.mark.parametrize("labels", [None, torch.ones(2), torch.zeros(2, 2).long(), "cat"])
def test_targets_that_make_no_sense_are_survived(boxes, labels):
    data = Items((picture(0), {"boxes": boxes, "labels": labels}), (picture(1), objects(1)))
    report = DataReport.from_datasets({"train": data})
    assert report.problems[0].where == ("train[0]",)
    assert report.problems[0].kind == "box"
    assert report.counts("train") == {"1": (1, 1)}


def test_classes_of_pictures():
    labels = [0, np.int64(1), torch.tensor(1), np.uint8(0)]
    report = DataReport.from_datasets({"train": Items(*((picture(i), y) for i, y in enumerate(labels)))})
    assert report.ok
    assert report.counts("train") == {"0": (2, 2), "1": (2, 2)}
    assert not report.detection


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        (3, "label: train[0] has the label 3, which has no name"),
        (-1, "label: train[0] has the label -1, below 0"),
        ("cat", "target: train[0] has a target that is neither a dict nor a class number: str"),
        (True, "target: train[0] has a target that is neither a dict nor a class number: bool"),
        (None, "target: train[0] has a target that is neither a dict nor a class number: NoneType"),
        (
            torch.zeros(2),
            "target: train[0] has a target that is neither a dict nor a class number: a tensor (2,) torch.float32",
        ),
    ],
)
def test_faults_of_a_class_number(target, problem):
    report = DataReport.from_datasets({"train": Items((picture(0), target))}, names=["cat", "dog"])
    assert [f"{p.kind}: {p}" for p in report.problems] == [problem]


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        (KeyError("boxes"), "item: train[1] raises KeyError: 'boxes'"),
        (ValueError("one\ntwo"), "item: train[1] raises ValueError: one"),
        (RuntimeError(), "item: train[1] raises RuntimeError"),
        (picture(1), "item: train[1] is no pair (image, target): Tensor"),
        ((picture(1), 0, 0), "item: train[1] is no pair (image, target): tuple"),
        (("a.png", 0), "image: train[1] has an image that cannot be used: it is a str"),
        (
            (torch.full((3, 4, 4), torch.nan), 0),
            "image: train[1] has an image that cannot be used: dhash: image[0, 0, 0] is not finite: nan",
        ),
        (
            (torch.zeros(4, 4), 0),
            "image: train[1] has an image that cannot be used: dhash: image must have shape (C, H, W), got (4, 4)",
        ),
        (
            (torch.zeros(3, 0, 4), 0),
            "image: train[1] has an image that cannot be used: dhash: image must have 1 or 3 channels and some pixels, "
            "got (3, 0, 4)",
        ),
    ],
)
def test_items_that_cannot_be_used_are_listed(item, problem):
    report = DataReport.from_datasets({"train": Items((picture(0), 0), item, (picture(2), 0))})
    assert [f"{p.kind}: {p}" for p in report.problems] == [problem]
    assert [p.where for p in report.pictures] == ["train[0]", "train[2]"]


@pytest.mark.parametrize("kind", ["tensor", "float", "array", "pillow", "grey", "five channels"])
def test_kinds_of_images(kind):
    array = noise(0)
    image = {
        "tensor": picture(0),
        "float": picture(0) / 255,
        "array": array,
        "pillow": Image.fromarray(array),
        "grey": array[..., 0],
        "five channels": torch.rand(5, 24, 32, generator=torch.Generator().manual_seed(0)),
    }[kind]
    report = DataReport.from_datasets({"train": Items((image, 0))})
    assert report.ok
    assert report.notes == ()
    assert report.pictures[0].size == (24, 32)


def test_values_outside_of_the_range_are_noted():
    data = Items((picture(0).float(), 0), (picture(1) / 127.5 - 1, 0))
    assert [str(note) for note in DataReport.from_datasets({"train": data}).notes] == [
        "train[0] has values from 0 to 255, outside of [0, 1]",
        "train[1] has values from -1 to 1, outside of [0, 1]",
    ]


def test_limit():
    data = Items(*((picture(i), 0) for i in range(10)))
    report = DataReport.from_datasets({"train": data, "val": Items((picture(20), 0))}, limit=4)
    assert [p.where for p in report.pictures] == ["train[0]", "train[2]", "train[5]", "train[7]", "val[0]"]
    assert [str(note) for note in report.notes] == ["train was checked at 4 of its 10 items, evenly spread"]
    assert DataReport.from_datasets({"train": data}, limit=10).notes == ()


def test_many_problems_and_classes_are_shortened():
    items = [(picture(i), objects(i + 1, box=(5.0, 5.0, 5.0, 6.0))) for i in range(23)]
    text = str(DataReport.from_datasets({"train": Items(*items)}))
    assert "  box (23)\n" in text
    assert text.endswith("train[4] box 0 has x2 <= x1: [5, 5, 5, 6]\n    ... and 18 more")
    assert "\n20                 1 in 1\n... and 3 rarer\n" in text


def test_a_data_set_without_items():
    report = DataReport.from_datasets({"train": Items()})
    assert report.ok
    assert "train       0       -      -" in str(report)


def test_still_lifes_are_sound():
    splits = {split: StillLife(size=48, split=split, length=30) for split in ("train", "val", "test")}
    report = DataReport.from_datasets(splits, names=["background", *StillLife.KINDS])
    assert report.ok
    assert found(report.notes, "near duplicate") == []
    assert sum(objects for objects, _ in report.counts("val").values()) == sum(
        len(splits["val"][i][1]["labels"]) for i in range(30)
    )


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((Items(),), TypeError, "DataReport.from_datasets: datasets must be a dict from split to data set, got Items"),
        (({},), InputError, "datasets must hold at least one data set, got none"),
        (({"train": iter([])},), TypeError, r"datasets\['train'\] must have a length and items, got list_iterator"),
        (({"train": Items()}, "cat"), TypeError, "names must be a list or a dict from label to name, got 'cat'"),
        (({"train": Items()}, None, 0), InputError, "limit must be at least 1, got 0"),
        (({"train": Items()}, None, 2.5), TypeError, "limit must be a whole number or None, got 2.5"),
    ],
)
def test_errors(arguments, error, message):
    with pytest.raises(error, match=message):
        DataReport.from_datasets(*arguments)


def test_counts_of_an_unknown_split():
    with pytest.raises(InputError, match="DataReport.counts: split must be one of train, got 'val'"):
        DataReport.from_datasets({"train": Items()}).counts("val")


# The picture.


@pytest.fixture
def figures():
    yield
    plt.close("all")


@pytest.mark.usefixtures("figures")
def test_plot_of_detection():
    # val has 2 objects of class 1 and 1 of class 2, train 1 and 1
    data = {
        "train": Items((picture(0), objects(1)), (picture(1, (40, 60)), objects(2))),
        "val": Items((picture(2), objects(1, 1)), (picture(3), objects(2, box=(0.0, 0.0, 20.0, 20.0)))),
    }
    before = dict(mpl.rcParams)
    axes = DataReport.from_datasets(data, names=["background", "cat", "dog"]).plot()
    assert dict(mpl.rcParams) == before
    assert axes.shape == (3,)
    classes, sizes, boxes = axes
    assert [label.get_text() for label in classes.get_yticklabels()] == ["cat", "dog"]
    assert all(label.get_rotation() == 0 for label in classes.get_yticklabels())
    shares = [[bar.get_width() for bar in bars] for bars in classes.containers]
    assert np.allclose(shares, [[50, 50], [200 / 3, 100 / 3]])
    (points,) = sizes.collections
    assert sorted(map(tuple, points.get_offsets())) == [(32, 24), (60, 40)]  # width, height
    assert [np.sum(patch.get_data().values) for patch in boxes.patches] == pytest.approx([100, 100])
    assert [text.get_text() for text in classes.figure.legends[0].texts] == ["train: 2 objects", "val: 3 objects"]


@pytest.mark.usefixtures("figures")
def test_plot_of_classes(folder):
    axes = DataReport.from_folder(folder / "train").plot()
    assert axes.shape == (2,)
    assert [text.get_text() for text in axes[0].texts] == ["2", "2"]  # images of each class
    assert axes[0].figure.legends == []


@pytest.mark.usefixtures("figures")
def test_plot_of_what_has_no_class(folder):
    assert DataReport.from_folder(folder / "train" / "cat" / "deeper").plot().shape == (2,)


def test_plot_of_nothing(tmp_path):
    with pytest.raises(InputError, match="DataReport.plot: the report must hold at least one image, got none"):
        DataReport.from_folder(tmp_path).plot()


def test_a_report_without_a_plot_loads_no_matplotlib():
    code = "import sys, cvlab.data.report; print('matplotlib' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"
