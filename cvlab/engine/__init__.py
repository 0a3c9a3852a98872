"""Training: one loop for all models of the book, on a CPU, a GPU or several, built on `accelerate`."""

from cvlab._check import InputError
from cvlab.engine.batches import list_collate, stack_collate
from cvlab.engine.ema import MovingAverage
from cvlab.engine.errors import StopTraining, TrainingError
from cvlab.engine.evaluation import Metric, evaluate
from cvlab.engine.fit import fit, train_loop
from cvlab.engine.history import History
from cvlab.engine.lr_finder import LearningRates, find_learning_rate
from cvlab.engine.predictions import predict
from cvlab.engine.settings import State

__all__ = [
    "History",
    "InputError",
    "LearningRates",
    "Metric",
    "MovingAverage",
    "State",
    "StopTraining",
    "TrainingError",
    "evaluate",
    "find_learning_rate",
    "fit",
    "list_collate",
    "predict",
    "stack_collate",
    "train_loop",
]
