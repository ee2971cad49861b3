"""Which tensors of a model a file of weights fills, whatever library it is from."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from torch import Tensor

from soco_mm.utils import SoCoError

from .libraries.architecture import pixel_statistics
from .libraries.incoming import BACKBONE, BOX_HEAD, LATERAL, LEVELS, Layout, layouts
from .matching import DENSE_HEAD, STAGE_NORM, match_names
from .origin import Origin
from .released import convert_released
from .transfer import TransferReport, compare_tensors
from .weights_file import WeightsFile

# What a model has for itself: the target network starts equal to the online
# network, whatever that is filled with.
OWN = ('target_net.', 'data_preprocessor.')
# Tensors of a backbone that weights need not have: counters, what is computed
# from its settings, and norms of stages that only detectors read.
NEEDLESS = re.compile(
    rf'.*\.(num_batches_tracked|relative_position_index)$|{STAGE_NORM.pattern}'
)
# A block of a backbone, in the names of any library; what is no weight of it.
BLOCK = re.compile(
    r'.*?\b(layer\d|(stages?|features|layers)[._]\d+(\.blocks)?|res\d|blocks\.\d+)\.\d+\.'
)
COMPUTED = re.compile(
    r'.*\.(num_batches_tracked|attn_mask|relative_(position_index|coords_table))$'
)
BOX_HEADS = re.compile(r'roi_head\.bbox_head\.(\d+\.)?(shared_)')
# Parts of the pretext task in tables, where `head` would be a detector's.
PRETEXT_NAMES = {'head': 'predictor', 'box_head': 'head of displaced boxes'}


@dataclass
class InitialWeights:
    """Weights by the names of the model that starts from them.

    Attributes:
        path (str): Their file.
        weights (dict[str, Tensor]): Those that fit.
        report (TransferReport): What is filled, part by part.
        origin (Origin): What their model was.
        library (str): Whose names the file has.
        turned (bool): The first convolution is turned round, since the
            model takes red and blue in the other order. Defaults to False.
        left_out (dict[str, int]): Number of tensors of the file that have no
            place, by the start of their names.
        cut (list[str]): Those of them in a block of which others are filled.
    """

    path: str
    weights: dict[str, Tensor]
    report: TransferReport
    origin: Origin
    library: str
    turned: bool = False
    left_out: dict[str, int] = field(default_factory=dict)
    cut: list[str] = field(default_factory=list)

    @property
    def num_filled(self) -> int:
        """int: Number of tensors of the model that are filled."""
        return len(self.weights)

    def to_dict(self) -> dict:
        """As plain data, with each tensor."""
        return dict(
            checkpoint=self.path,
            library=self.library,
            normalisation=self.origin.to_dict(),
            **asdict(self.report),
            left_out=self.left_out,
        )

    def describe(self) -> str:
        """As a table to print."""
        parts = {
            PRETEXT_NAMES.get(name, name): part
            for name, part in self.report.parts.items()
        }
        width = max(11, *map(len, parts))
        lines = [f'{"part":{width}s}  filled    missing  shape differs']
        for name, part in parts.items():
            filled = f'{len(part.filled):4d}/{part.total:<4d}'
            lines.append(
                f'{name:{width}s} {filled}{len(part.new):8d}  '
                f'{len(part.shape_differs):13d}'
            )
        if self.left_out:
            counted = ', '.join(f'{n} of {start}' for start, n in self.left_out.items())
            lines.append(f'left out of the file: {counted}')
        order = '; in another order of channels: the first convolution is turned round'
        lines.append(
            f'images: mean {rounded(self.origin.mean)}, std '
            f'{rounded(self.origin.std)} ({self.origin.reason})'
            f'{order * self.turned}'
        )
        return '\n'.join(lines)


def match_weights(
    file: WeightsFile,
    model: Mapping,
    state: dict[str, Tensor],
    origin: Origin | None = None,
) -> InitialWeights:
    """Give the weights in a file the names that they have in a model.

    Names are tried as MMDetection and this plugin have them, and as each
    library has them to which a model can be exported; those that fill most
    are taken.

    Args:
        file (WeightsFile): The weights.
        model (Mapping): The ``model`` of the pretraining's config.
        state (dict[str, Tensor]): The model's state dict.
        origin (Origin, optional): What their model was. Defaults to None, what the
            file says.

    Returns:
        InitialWeights: Those that fit, and what is filled.

    Raises:
        SoCoError: If nothing fits, or a setting of the backbone differs.
    """
    state = {name: value for name, value in state.items() if not name.startswith(OWN)}
    found = [own_names(file, state)]
    found += [
        (layout.library, *other_names(layout, file.weights))
        for layout in layouts(model, state, file.weights)
    ]
    library, weights, used = max(found, key=lambda each: count_fitting(each[1], state))
    if not count_fitting(weights, state):
        raise SoCoError(explain_misfit(file, found, state))
    origin = origin or Origin.of(file)
    if difference := origin.explain_difference(model['backbone']):
        raise SoCoError(f'{file.path} does not fit: {difference}.')
    turned = origin.bgr == pixel_statistics(model)['bgr_to_rgb']
    if turned:
        weights = turn_channels(weights, file.path)
    report = compare_tensors(state, weights)
    fitting = {
        name: value
        for name, value in weights.items()
        if name in state and value.shape == state[name].shape
    }
    rest = [name for name in file.weights if name not in used]
    starts = Counter(name.partition('.')[0] for name in rest)
    blocks = {block_of(name) for name in used} - {''}
    cut = [name for name in rest if block_of(name) in blocks]
    return InitialWeights(
        file.path, fitting, report, origin, library, turned, dict(starts), cut
    )


def block_of(name: str) -> str:
    """The block of a backbone that a weight is in, empty if it is in none.

    Example:
        >>> from soco_mm.checkpoint.initial import block_of
        >>> block_of('backbone.layer1.0.conv1.weight'), block_of('neck.bias')
        ('backbone.layer1.0.', '')
    """
    found = BLOCK.match(name)
    return '' if found is None or COMPUTED.match(name) else found[0]


def count_fitting(weights: dict[str, Tensor], state: dict[str, Tensor]) -> int:
    """Number of tensors that fit, those first of which shape fits."""
    return sum(
        name in state and value.shape == state[name].shape
        for name, value in weights.items()
    )


def own_names(
    file: WeightsFile, state: dict[str, Tensor]
) -> tuple[str, dict[str, Tensor], set[str]]:
    """Match names of MMDetection, of MMPretrain and of this plugin.

    Returns:
        tuple: The library, weights by the model's names, and the names in
        the file of those that have a place.
    """
    given, library = file.weights, 'MMDetection'
    if file.is_released:
        given, library = convert_released(given), 'released code of SoCo'
    is_ours = any(name.startswith('projector.') for name in given)
    # Other algorithms also have a head with a predictor.
    others = (*OWN, BOX_HEAD) if is_ours else (*OWN, BOX_HEAD, 'head.')
    sources, kept = {}, {}
    for name, value in given.items():
        ours = name
        head = BOX_HEADS.match(name)
        if head and name not in state:
            if head[1] not in (None, '0.'):  # the first of a cascade is taken
                continue
            ours = BOX_HEAD + name[head.start(2) :]
        is_predictor = name.startswith(DENSE_HEAD) and name not in state
        if is_predictor or (not head and name.startswith(others)):
            continue
        kept[ours] = value
        sources[id(value)] = name
    matched, _ = match_names(kept, state, *start_levels(kept, state))
    used = {sources[id(v)] for name, v in matched.items() if name in state}
    return library, matched, set(file.weights) if file.is_released else used


def start_levels(
    weights: dict[str, Tensor], state: dict[str, Tensor]
) -> tuple[int, int]:
    """Stages at which the FPN of a model and that of some weights start.

    The lower one is taken for 0. The channels of a stage tell which
    convolutions belong to it.
    """
    ours, theirs = (
        [
            values[name].shape[1]
            for level in range(LEVELS)
            if (name := LATERAL.format(level)) in values
        ]
        for values in (state, weights)
    )
    if ours and theirs and theirs[0] in ours:
        return 0, ours.index(theirs[0])
    if ours and theirs and ours[0] in theirs:
        return theirs.index(ours[0]), 0
    return 0, 0


def other_names(
    layout: Layout, weights: dict[str, Tensor]
) -> tuple[dict[str, Tensor], set[str]]:
    """Match the names of another library.

    Returns:
        tuple: Weights by the model's names, and the names in the file of
        those that have a place.
    """
    used = {ours: theirs for ours, theirs in layout.names.items() if theirs in weights}
    found = {
        ours: layout.convert(ours, weights[theirs]) for ours, theirs in used.items()
    }
    return found, set(used.values())


def turn_channels(weights: dict[str, Tensor], path: str) -> dict[str, Tensor]:
    """Turn the channels of images that a first convolution takes round.

    Raises:
        SoCoError: If it is not clear which one it is.
    """
    first = [
        name
        for name, value in weights.items()
        if name.startswith(BACKBONE) and value.ndim == 4 and value.shape[1] == 3
    ]
    if len(first) != 1:
        raise SoCoError(
            f'The channels of {path} are in another order than in the model, and '
            f'its first convolution is not clear '
            f'({", ".join(first) or "there is none"}). '
            'Give weights for images in the same order.'
        )
    return {**weights, first[0]: weights[first[0]].flip(1)}


def missing_of_backbone(found: InitialWeights) -> list[str]:
    """What weights should fill of a backbone and do not, one phrase each."""
    part = found.report.parts['backbone']
    return [
        f'{name} has the shape {there} in the file, but {here} in the model'
        for name, here, there in part.shape_differs
    ] + [f'{name} is missing' for name, _ in part.new if not NEEDLESS.match(name)]


def refuse_partial(found: InitialWeights, model: Mapping) -> None:
    """Refuse weights that do not fill the backbone whole.

    Args:
        found (InitialWeights): The weights.
        model (Mapping): The ``model`` of the pretraining's config.

    Raises:
        SoCoError: If they do not.
    """
    if found.cut:
        raise SoCoError(
            f'{found.path} is of another backbone than {model["backbone"]["type"]}: '
            f'its blocks have {found.cut[0]} too, and {len(found.cut) - 1} more. '
            'Choose the config of the model that the weights are of, or load what fits '
            'with --init-partial (partial=True in a config).'
        )
    if not (lost := missing_of_backbone(found)):
        return
    part = found.report.parts['backbone']
    more = f', and {len(lost) - 1} more tensors' * (len(lost) > 1)
    raise SoCoError(
        f'{found.path} fills only {len(part.filled)} of the {part.total} tensors of '
        f'the backbone, {model["backbone"]["type"]}: {lost[0]}{more}. Choose the '
        'config of the model that the weights are of, or load what fits with '
        '--init-partial (partial=True in a config).'
    )


def refuse_random(
    found: InitialWeights, model: Mapping, state: dict[str, Tensor]
) -> None:
    """Refuse weights that leave a part random which the training keeps as it is.

    A backbone that is filled in part is not meant, see :func:`refuse_partial`.

    Args:
        found (InitialWeights): The weights.
        model (Mapping): The ``model`` of the pretraining's config.
        state (dict[str, Tensor]): The model's state dict.

    Raises:
        SoCoError: If they do.
    """
    for part in model.get('frozen_parts', ()):
        names = [name for name in state if name.startswith(f'{part}.')]
        lost = [
            name
            for name in names
            if name not in found.weights and not NEEDLESS.match(name)
        ]
        if lost and (part != 'backbone' or not set(names) & set(found.weights)):
            raise SoCoError(
                f'The {part} is frozen (--train, model.frozen_parts), but '
                f'{found.path} does not fill it: '
                f'{lost[0]} would stay random. Train it too, or give weights that '
                'fill it.'
            )


def explain_misfit(
    file: WeightsFile, tried: list[tuple], state: dict[str, Tensor]
) -> str:
    """Say why nothing fits, and what to change."""
    for _, weights, _ in tried:
        for name, value in weights.items():
            if name in state:
                reason = (
                    f'{name} has the shape {list(value.shape)} there, but '
                    f'{list(state[name].shape)} in the model. Choose the config '
                    'of the model that the weights are of'
                )
                break
        else:
            continue
        break
    else:
        backbone = next(name for name in state if name.startswith(BACKBONE))
        reason = (
            f'its names look like {next(iter(file.weights))}, but those of the '
            f'model like {backbone}. Choose the config of the model that the weights '
            'are of'
        )
    return f'None of the {len(file.weights)} tensors of {file.path} fits: {reason}.'


def rounded(values: tuple) -> list[float]:
    """Numbers to print."""
    return [round(value, 1) for value in values]
