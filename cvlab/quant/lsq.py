"""LSQ: the step between two numbers is learned like a weight."""

from __future__ import annotations

from torch import Tensor, nn

from cvlab import _check


class LearnedStep(nn.Module):
    """Quantize and dequantize with a step that has a gradient.

    Args:
        start: numbers like those to come, from which the first step is taken.
        low: the smallest whole number, 0 or below.
        high: the largest one, above 0.
        gradient_scale: whether the step's gradient is divided by sqrt(n high), n numbers in a tensor. Each of them
            pulls at the one step, so without it the step moves as far as all weights together, and training diverges
            at learning rates that weights can take.

    Returns:
        Called with a tensor, one as large, of multiples of the step.

    Raises:
        InputError: if the bounds are not below and above 0, or `start` holds NaN or no number but 0.

    Example:
        >>> import torch
        >>> step = LearnedStep(torch.tensor([0.5, -0.5]), -2, 1)
        >>> step.step.item(), step(torch.tensor([0.2, 0.7, 9.0])).tolist()
        (1.0, [0.0, 1.0, 1.0])

    References:
        Esser, S. et al. (2020). Learned step size quantization. ICLR. Equations 1 to 3, sections 2.1 and 2.2.
    """

    def __init__(self, start: Tensor, low: int, high: int, *, gradient_scale: bool = True) -> None:
        super().__init__()
        _check.finite("LearnedStep", "start", start)
        if not low <= 0 < high:
            raise _check.InputError(f"LearnedStep: low must be at most 0 and high above it, got {low} and {high}")
        if not bool(start.any()):
            raise _check.InputError("LearnedStep: start must hold a number other than 0, to take the first step from")
        self.low, self.high, self.gradient_scale = low, high, gradient_scale
        self.step = nn.Parameter(2 * start.detach().abs().mean() / high**0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Quantize and dequantize."""
        step = self.step
        if self.gradient_scale:
            share = (x.numel() * self.high) ** -0.5
            step = step * share + (step - step * share).detach()  # its own value, a part of its gradient
        cut = (x / step).clamp(self.low, self.high)
        return (cut + (cut.round() - cut).detach()) * step
