"""The time of a step by a roofline of computation and memory.

Every operator takes the longer of two times (Williams et al. 2009): of its
floating-point operations at the GPU's rate, and of the bytes that it reads and
writes at its bandwidth. Operators run one after another, as PyTorch runs them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from .counting import Operation

# What good kernels reach of the peaks at shapes such as these. The step then still
# lacks what no kernel does: exchange between GPUs, starting kernels, loading data.
REACHED_FLOPS = 0.6
REACHED_BANDWIDTH = 0.75


@dataclass(frozen=True)
class GPU:
    """The makers' figures of a GPU, without sparsity.

    Attributes:
        name (str): Its name.
        memory (int): GiB.
        half (float): Operations a second in 16 bits, with tensor cores.
        single (float): The same in float32; TF32 in convolutions where it has it,
            which is PyTorch's default.
        bandwidth (float): Bytes a second of its memory.
    """

    name: str
    memory: int
    half: float
    single: float
    bandwidth: float


GPUS = (
    GPU('V100 SXM2', 32, 125e12, 15.7e12, 0.9e12),
    GPU('A100 SXM', 80, 312e12, 156e12, 2.039e12),
    GPU('H100 SXM', 80, 989e12, 495e12, 3.35e12),
)


def seconds_of(
    operations: Iterable[Operation],
    gpu: GPU,
    reached: tuple[float, float] = (REACHED_FLOPS, REACHED_BANDWIDTH),
) -> float:
    """The least time of operators on a GPU.

    Args:
        operations (Iterable[Operation]): The operators.
        gpu (GPU): The GPU.
        reached (tuple[float, float]): Shares of its rate and its bandwidth that
            kernels reach.

    Example:
        >>> from soco_mm.planning.counting import Operation
        >>> from soco_mm.planning.roofline import GPUS, seconds_of
        >>> copied = Operation('head', flops=0, bytes=9 * 10**11, half=True)
        >>> seconds_of([copied], GPUS[0], reached=(1, 1))
        1.0
    """
    total = 0.0
    for each in operations:
        rate = gpu.half if each.half else gpu.single
        computing = each.flops / (rate * reached[0])
        total += max(computing, each.bytes / (gpu.bandwidth * reached[1]))
    return total
