from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from torch import Tensor

from soco_mm.utils import SoCoError

# Parts that only the pretext task needs, and the target network.
PRETEXT = ('target_net.', 'projector.', 'head.', 'box_head.', 'data_preprocessor.')
# Part of a detector -> the start of its names. Other parts are listed under their
# own name.
PARTS = {
    'backbone': 'backbone.',
    'neck': 'neck.',
    'shared head': 'roi_head.shared_head.',
    'box head': 'roi_head.bbox_head.',
    'RPN': 'rpn_head.',
    'mask head': 'roi_head.mask_head.',
    'bbox_head': 'bbox_head.',  # of one stage
}
PretrainedWeights = dict[str, Tensor]


def detector_weights(state_dict: dict[str, Tensor]) -> PretrainedWeights:
    """The weights in a training checkpoint that a detector can use.

    Args:
        state_dict (dict[str, Tensor]): Weights of :class:`SoCo`, or weights
            that were exported already.

    Returns:
        dict[str, Tensor]: Those of backbone, neck and R-CNN head, contiguous.

    Raises:
        SoCoError: If there are none.
    """
    kept = {
        name: value.contiguous()
        for name, value in state_dict.items()
        if not name.startswith(PRETEXT)
    }
    if not any(name.startswith('backbone.') for name in kept):
        raise SoCoError(
            'The checkpoint holds no backbone.*; it is not from a pretraining.'
        )
    return kept


@dataclass
class PartReport:
    """The tensors of one part of a detector: filled, new or of another shape.

    Attributes:
        total (int): Number of its tensors.
        filled (list): Name and shape of those with pretrained values.
        new (list): Name and shape of those that start from random values.
        shape_differs (list): Name, shape, and shape of the pretrained one.
    """

    total: int = 0
    filled: list = field(default_factory=list)
    new: list = field(default_factory=list)
    shape_differs: list = field(default_factory=list)


@dataclass
class TransferReport:
    """Which tensors of a detector were filled from pretrained weights.

    Attributes:
        parts (dict[str, PartReport]): By part of the detector.
        unused (list[str]): Pretrained tensors that found no place, by their
            names in the pretraining.
        max_difference (float): Largest difference between the features of
            the pretrained model and the detector, relative to their size.
        config (str): Path of the detector's config, empty if not written.
        notes (list[str]): Notes for the training, one sentence each.
        not_handed_over (list[str]): Pretrained tensors of parts that were left
            out on purpose.
        reason (str): Why they were.
    """

    parts: dict[str, PartReport]
    unused: list[str]
    max_difference: float = float('nan')
    config: str = ''
    notes: list[str] = field(default_factory=list)
    not_handed_over: list[str] = field(default_factory=list)
    reason: str = ''

    def mismatches(self) -> list[str]:
        """Differences that show that the weights are of another model."""
        found = []
        for part in self.parts.values():
            found += [f'missing tensor {name}' for name, _ in part.new]
            found += [
                f'{name} has the shape {theirs}, not {ours}'
                for name, ours, theirs in part.shape_differs
            ]
        return found + [f'unexpected tensor {name}' for name in self.unused]

    def to_dict(self) -> dict:
        """As plain data."""
        return asdict(self)

    def describe(self) -> str:
        """As a table to print."""
        width = max(11, *map(len, self.parts))
        lines = [f'{"part":{width}s}  filled   new  shape differs']
        for name, part in self.parts.items():
            filled = f'{len(part.filled):4d}/{part.total:<4d}'
            lines.append(
                f'{name:{width}s} {filled}{len(part.new):4d}  '
                f'{len(part.shape_differs):4d}'
            )
        if self.unused:
            lines.append(
                f'pretrained, but not in the detector: {count_parts(self.unused)}'
            )
        if self.not_handed_over:
            lines.append(
                f'not handed over: {count_parts(self.not_handed_over)}, since '
                f'{self.reason}'
            )
        if self.max_difference == self.max_difference:
            lines.append(
                'the features equal those of the pretrained '
                f'model (difference {self.max_difference:.1e})'
            )
        lines += self.notes
        return '\n'.join(lines)


def count_parts(names: Iterable[str]) -> str:
    """How many tensors of each part there are, in words."""
    numbers = Counter(map(part_of, names))
    return ', '.join(f'{number} of the {name}' for name, number in numbers.items())


def part_of(name: str) -> str:
    """The part of a detector to which a tensor belongs."""
    return next(
        (part for part, prefix in PARTS.items() if name.startswith(prefix)),
        name.partition('.')[0],
    )


def compare_tensors(
    detector: dict[str, Tensor], pretrained: PretrainedWeights
) -> TransferReport:
    """Match pretrained weights with a detector's, by name and shape.

    Args:
        detector (dict[str, Tensor]): The detector's state dict.
        pretrained (dict[str, Tensor]): Pretrained weights.

    Returns:
        TransferReport: What would be filled.
    """
    parts: dict[str, PartReport] = {}
    for name, value in detector.items():
        report = parts.setdefault(part_of(name), PartReport())
        report.total += 1
        shape = list(value.shape)
        if name not in pretrained:
            report.new.append([name, shape])
        elif pretrained[name].shape != value.shape:
            report.shape_differs.append([name, shape, list(pretrained[name].shape)])
        else:
            report.filled.append([name, shape])
    unused = [name for name in pretrained if name not in detector]
    return TransferReport(parts, unused)
