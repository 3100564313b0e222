"""What a look at numbers costs, by where they lie."""

from torch import Tensor


def is_read_freely(tensor: Tensor) -> bool:
    """Tell whether looking at a tensor's numbers waits for nothing: an accelerator would stall."""
    return tensor.device.type == "cpu"
