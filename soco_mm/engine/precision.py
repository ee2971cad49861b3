"""The numbers that a training computes with: float32, bfloat16 or float16.

RoIAlign, the loss, batch statistics and the weights are float32 with each of them.
"""

import torch
from mmengine.config import Config
from mmengine.device import is_cuda_available

from soco_mm.utils import UsageError

DTYPES = dict(bf16='bfloat16', fp16='float16')
PRECISIONS = ('float32', *DTYPES)
# Types of wrappers: MMEngine's two, and the one without a gradient scaler.
PLAIN, MIXED = 'OptimWrapper', 'AmpOptimWrapper'
BFLOAT16 = 'soco_mm.BFloat16OptimWrapper'
OF_MIXED = ('dtype', 'loss_scale', 'use_fsdp')  # arguments of MIXED alone


def set_precision(cfg: Config, precision: str | None) -> None:
    """Set what a training computes with; in place.

    Args:
        cfg (Config): The config of a training.
        precision (str, optional): ``float32``; or, mixed with it, ``bf16``, which
            needs no gradient scaler, or ``fp16``, which has one. None leaves it as
            the config says.

    Raises:
        UsageError: If it is none of these, or float16 without a GPU.

    Example:
        >>> from soco_mm.engine.config import load_config
        >>> from soco_mm.engine.precision import set_precision
        >>> cfg = load_config('soco_r50_fpn_100e')
        >>> set_precision(cfg, 'bf16')
        >>> cfg.optim_wrapper.type, cfg.optim_wrapper.dtype
        ('AmpOptimWrapper', 'bfloat16')
    """
    if precision is None:
        return
    if precision not in PRECISIONS:
        raise UsageError(
            f'There is no precision {precision}. Choose {", ".join(PRECISIONS)}.'
        )
    if precision == 'fp16' and not is_cuda_available():
        raise UsageError(
            'float16 is for GPUs, and PyTorch sees none. Choose --precision bf16 or '
            'float32.'
        )
    wrapper = cfg.optim_wrapper
    for key in OF_MIXED:
        wrapper.pop(key, None)
    wrapper.type = PLAIN
    if precision in DTYPES:
        wrapper.update(type=MIXED, dtype=DTYPES[precision])


def adapt_precision(cfg: Config) -> str:
    """Choose the wrapper that computes as a config asks on this machine; in place.

    Args:
        cfg (Config): The config of a training.

    Returns:
        str: What to say of it; may be empty.
    """
    wrapper = cfg.optim_wrapper
    if wrapper.get('type') != MIXED:
        return ''
    gpu = is_cuda_available()
    if gpu:
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = getattr(torch.cpu, '_is_avx512_bf16_supported', bool)()
    asked = str(wrapper.get('dtype')).rpartition('.')[2]
    wrapper.type, note = choose_wrapper(asked, gpu, native)
    if wrapper.type != MIXED:
        for key in OF_MIXED:
            wrapper.pop(key, None)
    return note


def choose_wrapper(asked: str, gpu: bool, native: bool) -> tuple[str, str]:
    """The wrapper for mixed precision on a machine, and what to say of it.

    MMEngine's scales gradients in bfloat16 too, for which there is no reason, and
    refuses CPUs.

    Args:
        asked (str): The type that a config asks for, such as ``bfloat16``; any
            other word leaves it to the machine.
        gpu (bool): Whether there is a GPU.
        native (bool): Whether it, else the CPU, computes bfloat16 natively.

    Returns:
        tuple[str]: The type of the wrapper, and a sentence or nothing.
    """
    if asked == 'bfloat16':
        slow = (
            f'This {"GPU" if gpu else "CPU"} computes bfloat16 slowly: --precision '
            f'{"fp16" if gpu else "float32"} is faster.'
        )
        return BFLOAT16, '' if native else slow
    if gpu:
        return MIXED, ''
    return BFLOAT16 if native else PLAIN, (
        'There is no GPU: mixed precision is '
        f'{"bfloat16" if native else "off"} on this CPU.'
    )
