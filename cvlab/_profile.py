"""How much work a chapter does: little on a CPU, all of it where there is a GPU."""

from __future__ import annotations

import os


def profile() -> str:
    """Choose how much work to do here: "quick" on a CPU, "full" with a GPU.

    The environment variable CVLAB_PROFILE, set to "quick" or "full", decides instead where it is set.

    Returns:
        "quick" or "full".

    Raises:
        ValueError: If CVLAB_PROFILE is anything else.

    Example:
        >>> steps = {"quick": 200, "full": 5000}[profile()]
    """
    asked = os.environ.get("CVLAB_PROFILE", "")
    if asked in ("quick", "full"):
        return asked
    if asked:
        raise ValueError(f"profile: CVLAB_PROFILE must be 'quick' or 'full', got {asked!r}")
    import torch

    return "full" if torch.cuda.is_available() or torch.backends.mps.is_available() else "quick"
