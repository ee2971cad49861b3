"""Count what a step computes, moves and holds, without computing it."""

import weakref
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

# The part of each child of a model.
PARTS = dict(
    backbone='backbone',
    neck='neck',
    roi_head='head',
    bbox_head='head',
    box_head='head',
    rpn_head='RPN',
    projector='projector',
    head='predictor',
    target_net='target',
)
OTHER = 'other'
DEPTH = 3  # below a child of the model
# Operators that touch no memory, besides views.
FREE = {'_unsafe_view', 'lift_fresh', 'empty', 'empty_like', 'new_empty'}
# Those that write without reading.
FILLING = {'zeros', 'zeros_like', 'new_zeros', 'ones_like', 'full', 'full_like'}
# Batch norm in training reads its input for the statistics, and again to use them.
READ_TWICE = {
    'native_batch_norm': (0,),
    '_native_batch_norm_legit': (0,),
    'native_batch_norm_backward': (0, 1),
}


@dataclass
class Operation:
    """One operator of a step.

    Attributes:
        part (str): The part of the model that it belongs to.
        flops (int): Floating-point operations, two for a multiply-add.
        bytes (int): What it reads and writes at the least.
        half (bool): Whether it computes in 16 bits.
    """

    part: str
    flops: int
    bytes: int
    half: bool


@dataclass
class StepCount:
    """Forward and backward pass of a batch.

    Attributes:
        operations (list[Operation]): What is computed, in order.
        saved (Counter): Bytes of activations that the forward pass keeps for the
            backward pass, by part.
        peak (int): The most bytes that the passes hold at a time, weights, target
            and state of the optimiser not counted.
    """

    operations: list[Operation] = field(default_factory=list)
    saved: Counter = field(default_factory=Counter)
    peak: int = 0


class StepCounter(TorchDispatchMode):
    """Counts every operator that runs inside it, also on fake tensors.

    Memory is that of storages while they live, so that a tensor which is saved
    twice, or changed in place, counts once. What the backward pass computes
    belongs to the part whose forward pass made it necessary.

    Args:
        model (nn.Module): The model, whose children are the parts.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.count = StepCount()
        self.model = model
        self.weights = {
            value.untyped_storage()._cdata
            for value in (*model.parameters(), *model.buffers())
        }
        self.live, self.part = 0, OTHER
        self.seen: weakref.WeakSet = weakref.WeakSet()
        self.kept: set[int] = set()
        self.owned: set[Node] = set()
        self.saving = torch.autograd.graph.saved_tensors_hooks(self._save, lambda x: x)
        self.handles: list = []

    def __enter__(self) -> 'StepCounter':
        for key, part in PARTS.items():
            module = getattr(self.model, key, None)
            if module is not None:
                # Parts are also used through their children, and those of a target
                # network through its own parts.
                for name, each in module.named_modules():
                    if name.count('.') < DEPTH:
                        self._watch(each, part)
        self.saving.__enter__()
        return super().__enter__()

    def __exit__(self, *error) -> None:
        super().__exit__(*error)
        self.saving.__exit__(*error)
        for handle in self.handles:
            handle.remove()

    def _watch(self, module: nn.Module, part: str) -> None:
        """Note when a module of a part runs."""
        outer = []

        def begin(*args) -> None:
            outer.append(self.part)
            self.part = part

        def end(module, args, out) -> None:
            self.part = outer.pop()
            self._own(tensors(out), part)

        self.handles += [
            module.register_forward_pre_hook(begin),
            module.register_forward_hook(end),
        ]

    def _own(self, outputs: list[Tensor], part: str) -> None:
        """Give a part what leads to its outputs and is of no earlier part."""

        def begin(grads) -> None:
            self.part = part

        found = [value.grad_fn for value in outputs]
        while found:
            node = found.pop()
            if node is None or node in self.owned:
                continue
            self.owned.add(node)
            self.handles.append(node.register_prehook(begin))
            found += [each for each, _ in node.next_functions]

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Run an operator and count it."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if func.namespace != 'aten':
            return out
        packet = func._overloadpacket
        outputs = tensors(out)
        flops = 0
        if packet in flop_registry:
            flops = flop_registry[packet](*args, **kwargs, out_val=out)
        moved = moved_bytes(func, args, kwargs, outputs)
        if flops or moved:
            half = bool(outputs) and outputs[0].dtype.itemsize <= 2
            self.count.operations.append(Operation(self.part, flops, moved, half))
        for value in outputs:
            self._hold(value.untyped_storage())
        return out

    def _hold(self, storage: torch.UntypedStorage) -> None:
        """Count a storage while it lives."""
        if storage in self.seen or storage._cdata in self.weights:
            return
        self.seen.add(storage)
        size = storage.nbytes()
        self.live += size
        self.count.peak = max(self.count.peak, self.live)
        weakref.finalize(storage, self._release, size)

    def _release(self, size: int) -> None:
        self.live -= size

    def _save(self, value: Tensor) -> Tensor:
        """Count a tensor that is kept for the backward pass."""
        storage = value.untyped_storage()
        if storage._cdata not in self.kept | self.weights:
            self.kept.add(storage._cdata)
            self.count.saved[self.part] += storage.nbytes()
        return value


def tensors(values: Any) -> list[Tensor]:
    """The tensors in arguments or results of an operator."""
    return [value for value in tree_leaves(values) if isinstance(value, Tensor)]


def size_of(value: Tensor) -> int:
    """Bytes of a tensor; what is expanded is read once."""
    return min(value.numel() * value.element_size(), value.untyped_storage().nbytes())


def moved_bytes(func, args: tuple, kwargs: dict, outputs: list[Tensor]) -> int:
    """Bytes that an operator reads and writes if it does so once.

    Args:
        func (OpOverload): The operator.
        args (tuple): Its arguments.
        kwargs (dict): Its other arguments.
        outputs (list[Tensor]): Its results.
    """
    name = func._overloadpacket.__name__
    aliases = [each.alias_info for each in func._schema.arguments if each.alias_info]
    if name in FREE or any(not each.is_write for each in aliases):
        return 0
    inputs = [] if name in FILLING else tensors((args, kwargs))
    written = outputs or tensors(args[0] if args else ())
    again = [args[index] for index in READ_TWICE.get(name, ())]
    return sum(map(size_of, [*inputs, *written, *again]))
