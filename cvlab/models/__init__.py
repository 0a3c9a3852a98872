"""Networks of the book, written from scratch."""

from cvlab.models.small import SmallClassifier, accuracy, fit, predict

__all__ = ["SmallClassifier", "accuracy", "fit", "predict"]
