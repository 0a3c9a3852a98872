"""The command `cvlab`: train again what is shipped."""

from __future__ import annotations

import argparse
import json


def main(arguments: list[str] | None = None) -> None:
    """Run the command line: `cvlab weights` lists what is shipped, `cvlab train NAME` makes it again."""
    parser = argparse.ArgumentParser(prog="cvlab", description="Practical computer vision, from scratch and tested.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("weights", help="list the shipped weights and what they reach")
    train = commands.add_parser("train", help="train shipped weights again, and rewrite their card")
    train.add_argument("name", nargs="+", help="of the weights, or all")
    train.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="the first one's weights are kept")
    train.add_argument("--threads", type=int, default=1, help="of the CPU")
    given = parser.parse_args(arguments)
    if given.command == "weights":
        _list()
    else:
        _train(given.name, given.seeds, given.threads, parser)


def _list() -> None:
    from cvlab import weights

    for name in weights.names():
        print(name, json.dumps(weights.card(name)["test"]["shipped"]))


def _train(chosen: list[str], seeds: list[int], threads: int, parser: argparse.ArgumentParser) -> None:
    import torch

    from cvlab import recipes

    known = list(recipes.RECIPES)
    unknown = [name for name in chosen if name not in [*known, "all"]]
    if unknown:
        parser.error(f"there are recipes for {', '.join(known)}, got {', '.join(unknown)}")
    torch.set_num_threads(threads)
    for name in known if "all" in chosen else chosen:
        recipes.make(name, seeds)


if __name__ == "__main__":
    main()
