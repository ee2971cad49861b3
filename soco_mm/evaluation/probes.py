"""The two probes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import barrier, is_main_process
from mmengine.runner import Runner

from soco_mm.checkpoint import read_checkpoint, state_dict_of
from soco_mm.checkpoint.config_text import config_text, read_assignment
from soco_mm.engine import build_runner
from soco_mm.engine.config import building
from soco_mm.engine.initial_weights import safe_loading
from soco_mm.engine.processes import exclusive_to_training, together
from soco_mm.engine.runtime import start_processes
from soco_mm.engine.training import check_resumable, choose_checkpoint
from soco_mm.evaluation import TEMPERATURE, extract_features, knn_scores, load_backbone
from soco_mm.evaluation.backbone import backbone_weights
from soco_mm.evaluation.probe_data import choose_data
from soco_mm.openmmlab import accuracy
from soco_mm.registry import DATASETS, MODELS
from soco_mm.utils import SoCoError, UsageError, make_writable, write_json
from soco_mm.utils.image_files import JOB, RESULT_MARKERS
from soco_mm.utils.progress import ImageProgress


@dataclass(frozen=True)
class ProbeResult:
    """The accuracy that frozen features reach.

    Attributes:
        method (str): ``knn`` or ``linear``.
        checkpoint (str): The weights.
        train (str): The images or objects that vote or are trained on.
        val (str): What is classified.
        samples (str): What is counted, ``images`` or ``objects``.
        num_classes (int): Number of classes.
        num_train (int): Number of samples in ``train``.
        num_val (int): Number of samples in ``val``.
        top1 (float): Accuracy in percent.
        top5 (float, optional): The same for the best five; only where there
            are more than five classes.
        k (int, optional): knn: how many vote.
        temperature (float, optional): knn: temperature of the votes' weights.
        epochs (int, optional): linear: length of the training.
    """

    method: str
    checkpoint: str
    train: str
    val: str
    samples: str
    num_classes: int
    num_train: int
    num_val: int
    top1: float
    top5: float | None = None
    k: int | None = None
    temperature: float | None = None
    epochs: int | None = None

    def to_dict(self) -> dict:
        """What was measured, as plain data."""
        return {key: value for key, value in asdict(self).items() if value is not None}

    def write(self, folder: str | Path) -> None:
        """Write ``METHOD.json`` into a folder."""
        write_json(Path(folder, f'{self.method}.json'), self.to_dict())

    def describe(self) -> str:
        """What was measured, as one sentence."""
        accuracies = [f'top-1 {self.top1:.2f} %']
        if self.top5 is not None:
            accuracies.append(f'top-5 {self.top5:.2f} %')
        return (
            f'{self.method}: {", ".join(accuracies)} ({self.num_val} {self.samples} '
            f'in {self.num_classes} classes, trained on {self.num_train})'
        )


def knn_probe(
    cfg: Config,
    checkpoint: str | Path,
    train: str | Path,
    val: str | Path | None = None,
    *,
    k: int = 20,
    out: str | Path | None = None,
    images: str | Path | None = None,
    val_images: str | Path | None = None,
) -> ProbeResult:
    """Classify images by their nearest training images; nothing is trained.

    Args:
        cfg (Config): A config of a linear probe, whose backbone and test
            pipeline are used.
        checkpoint (str | Path): A checkpoint of a pretraining, or exported
            weights.
        train (str | Path): The images that vote, one folder per class; or
            annotations, whose objects vote.
        val (str | Path, optional): Images to classify, in folders of the same
            names, or annotations. Defaults to None, those of the data set
            that ``train`` names.
        k (int): How many images or objects vote. Defaults to 20.
        out (str | Path, optional): The folder of ``knn.json``, the result.
            Defaults to None, it is not written.
        images (str | Path, optional): The folder of the images of
            annotations. Defaults to None, where the layout says.
        val_images (str | Path, optional): The same for ``val``. Defaults to
            None, see :func:`soco_mm.coco.images_of_val`.

    Returns:
        ProbeResult: The result.

    Raises:
        UsageError: If the data are not as they should be, or ``k`` too large.
        SoCoError: If the checkpoint or an image cannot be used.
    """
    if out is not None:
        make_writable(out)
    classes = choose_data(cfg, train, val, images, val_images)
    topk = prepare(cfg, checkpoint, len(classes))
    queries = cfg.val_dataloader.dataset
    voters, queries = (
        DATASETS.build(dict(each, pipeline=queries.pipeline, test_mode=True))
        for each in (cfg.train_dataloader.dataset, queries)
    )
    if k > len(voters):
        raise UsageError(
            f'{k} neighbours cannot vote: {train} holds '
            f'{len(voters)} {voters.samples}. Choose a smaller '
            'k.'
        )
    model = MODELS.build(cfg.model)
    load_backbone(model.backbone, checkpoint)
    model.to(get_device())

    def extract(title, dataset):
        loader = Runner.build_dataloader(dict(cfg.val_dataloader, dataset=dataset))
        progress = ImageProgress(title, len(dataset), samples=dataset.samples)
        with progress, in_a_sentence():
            return extract_features(model, loader, progress.advance)

    features, labels = extract('Features of train', voters)
    wanted, truth = extract('Features of val', queries)
    scores = knn_scores(features, labels, wanted, cfg.model.head.num_classes, k)
    values = accuracy(scores, truth, topk)
    top: dict[str, Any] = {f'top{n}': round(v, 4) for n, v in zip(topk, values)}
    result = ProbeResult(
        **of_config(cfg, 'knn', voters.samples),
        k=k,
        temperature=TEMPERATURE,
        num_train=len(voters),
        num_val=len(queries),
        **top,
    )
    if out is not None:
        result.write(out)
    return result


def linear_probe(
    cfg: Config,
    checkpoint: str | Path,
    work_dir: str | Path,
    train: str | Path | None = None,
    val: str | Path | None = None,
    *,
    resume: bool = False,
    launcher: str = 'none',
    images: str | Path | None = None,
    val_images: str | Path | None = None,
) -> ProbeResult:
    """Train a linear classifier on frozen features.

    Args:
        cfg (Config): The config; the number of classes follows the data.
        checkpoint (str | Path): A checkpoint of a pretraining, or exported
            weights.
        work_dir (str | Path): Where checkpoints, logs and ``linear.json``,
            the result, go.
        train (str | Path, optional): The training images, one folder per class;
            or annotations, whose objects are trained on. Defaults to None,
            as the config says.
        val (str | Path, optional): The images to classify, in folders of the
            same names, or annotations. Defaults to None, those of the data
            set that ``train`` names, else as the config says.
        resume (bool): Continue from the last checkpoint in the work dir, if
            there is one. Defaults to False.
        launcher (str): What started the processes: ``none``, ``pytorch``,
            ``slurm`` or ``mpi``. Defaults to ``none``.
        images (str | Path, optional): The folder of the images of
            annotations. Defaults to None, where the layout says.
        val_images (str | Path, optional): The same for ``val``. Defaults to
            None, see :func:`soco_mm.coco.images_of_val`.

    Returns:
        ProbeResult: The result after the last epoch.

    Raises:
        UsageError: If the data are not as they should be, or what would be
            resumed is a probe of other weights or data.
        SoCoError: If the checkpoint or an image cannot be used.
    """
    cfg.launcher = launcher
    start_processes(cfg)
    together(lambda: check_folder(work_dir))
    with exclusive_to_training(work_dir, 'a probe'):
        return train_probe(
            cfg, checkpoint, work_dir, (train, val, images, val_images), resume
        )


def check_folder(work_dir: str | Path) -> None:
    """Refuse a folder that holds another result.

    Raises:
        UsageError: If it does.
    """
    for marker in (*RESULT_MARKERS, JOB):
        if Path(work_dir, marker).is_file():
            raise UsageError(
                f'{work_dir} holds {marker} of another result. Choose another folder.'
            )


def train_probe(
    cfg: Config,
    checkpoint: str | Path,
    work_dir: str | Path,
    data: tuple,
    resume: bool,
) -> ProbeResult:
    """Train a linear probe in a folder that no other process writes to."""
    last = choose_checkpoint(work_dir, resume)
    classes = together(lambda: choose_data(cfg, *data))
    topk = together(lambda: prepare(cfg, checkpoint, len(classes)))
    if last:
        together(lambda: check_same_probe(cfg, last))
    cfg.work_dir = str(work_dir)
    cfg.resume = last is not None
    cfg.load_from = last and str(last)
    with building('a linear probe'):
        runner = build_runner(cfg)
    if last:
        check_resumable(runner, last)
    with in_a_sentence():
        with safe_loading():
            runner.train()
        metrics = runner.val()
    barrier()  # the first process still writes
    result = ProbeResult(
        **of_config(cfg, 'linear', runner.val_dataloader.dataset.samples),
        epochs=cfg.train_cfg.max_epochs,
        num_train=len(runner.train_dataloader.dataset),
        num_val=len(runner.val_dataloader.dataset),
        **{f'top{n}': round(metrics[f'accuracy/top{n}'], 4) for n in topk},
    )
    if is_main_process():
        result.write(work_dir)
    return result


def prepare(cfg: Config, checkpoint: str | Path, num_classes: int) -> tuple[int, ...]:
    """Set weights and number of classes, and check them; in place.

    Returns:
        tuple[int]: The k of the top-k accuracies to report.
    """
    with building('a backbone'):
        backbone = MODELS.build(cfg.model.backbone)
    backbone.eval()
    load_backbone(backbone, checkpoint)
    with torch.no_grad():
        channels = backbone(torch.zeros(1, 3, 64, 64))[-1].shape[1]
    cfg.model.checkpoint = str(checkpoint)
    cfg.model.head.update(num_classes=num_classes, in_channels=channels)
    topk = (1, 5) if num_classes > 5 else (1,)
    cfg.val_evaluator.topk = topk
    return topk


def check_same_probe(cfg: Config, last: Path) -> None:
    """Refuse to continue a probe of other weights or data.

    Args:
        cfg (Config): The config, as :func:`prepare` leaves it.
        last (Path): The checkpoint from which it would go on.

    Raises:
        UsageError: If it is one.
        SoCoError: If the checkpoint cannot be read.
    """
    saved = read_checkpoint(last)
    before = state_dict_of(saved, last)
    weights = backbone_weights(
        state_dict_of(read_checkpoint(cfg.model.checkpoint), cfg.model.checkpoint)
    )
    text = config_text(saved)
    loaders = [read_assignment(text, f'{name}_dataloader') for name in ('train', 'val')]
    differs = ''
    for name, value in weights.items():  # which are frozen
        if f'backbone.{name}' in before and not torch.equal(
            before[f'backbone.{name}'], value
        ):
            differs = f'other weights than {cfg.model.checkpoint}'
    for own, there in zip((cfg.train_dataloader, cfg.val_dataloader), loaders):
        if isinstance(there, dict) and data_of(there) != data_of(own):
            differs = differs or f'other data than {data_of(own)}'
    if differs:
        raise UsageError(
            f'{last.parent.parent} holds a probe of {differs}. Choose another work dir.'
        )


def data_of(loader: dict) -> str:
    """The annotations or the folder that a data loader reads."""
    dataset = loader['dataset']
    return str(dataset.get('annotations') or dataset.get('data_root'))


def of_config(cfg: Config, method: str, samples: str) -> dict:
    """The first entries of the result: what was measured."""
    train, val = map(data_of, (cfg.train_dataloader, cfg.val_dataloader))
    return dict(
        method=method,
        checkpoint=cfg.model.checkpoint,
        train=train,
        val=val,
        samples=samples,
        num_classes=cfg.model.head.num_classes,
    )


@contextmanager
def in_a_sentence() -> Iterator[None]:
    """Remove the stack trace from errors that come from a loader's process."""
    try:
        yield
    except SoCoError as error:
        sentence = str(error).strip().rpartition('SoCoError: ')[2]
        raise type(error)(sentence) from None
