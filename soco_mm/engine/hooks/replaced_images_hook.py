import logging
from collections import Counter

from mmengine.dist import all_gather_object, is_main_process
from mmengine.hooks import Hook

from soco_mm.datasets import ObjectViewDataset
from soco_mm.datasets.replaced import REPLACED, CollateAndNote
from soco_mm.errors import SoCoError

from ..processes import RegularAgreement
from ..quiet_log import tell


class ReplacedImagesHook(Hook):
    """Count images that cannot be read during a training.

    Others take their place. The first of each cause is named, and at the end the
    number of all. If they are more than ``SHARE`` of the images seen, the training
    stops; ``LEAST`` images are counted as seen from the start, so that a single
    one does not stop it.
    """

    # Before all hooks that see a batch.
    priority = 'VERY_HIGH'
    SHARE, LEAST = 0.01, 1000

    def before_train(self, runner) -> None:
        """Let the data set say which images it replaces."""
        loader = runner.train_dataloader
        self.seen = 0
        self.causes: Counter = Counter()
        self.first: dict[str, str] = {}
        self.agreement = RegularAgreement()
        if isinstance(loader.dataset, ObjectViewDataset):
            loader.dataset.note_replaced = True
            loader.collate_fn = CollateAndNote(loader.collate_fn)

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Take out of a batch what it says about replaced images."""
        self.seen += runner.train_dataloader.batch_size
        if not isinstance(data_batch, dict):
            return
        for path, cause in data_batch.pop(REPLACED, ()):
            if cause not in self.first:
                self.first[cause] = path
                tell(
                    f'{path} {cause}, and another image takes its place. Further ones '
                    'of this cause are counted.',
                    logging.WARNING,
                )
            self.causes[cause] += 1

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs: dict | None = None
    ) -> None:
        """Stop if there are too many.

        Raises:
            SoCoError: If so, on any process.
        """
        if not self.agreement.any(self.too_many):
            return
        error = SoCoError(
            f'{describe(self.seen, self.causes, self.first)}. That is more than '
            f'{self.SHARE:.0%}, so the training is stopped. Put the images back, or '
            'make the proposals again, then continue with --resume.'
        )
        error.silent = not self.too_many()
        raise error

    def too_many(self) -> bool:
        """Whether too many images were replaced on this process."""
        return self.causes.total() > self.SHARE * max(self.seen, self.LEAST)

    def after_train(self, runner) -> None:
        """Say how many images were replaced on all processes."""
        found = all_gather_object((self.seen, self.causes, self.first))
        causes: Counter = Counter()
        first: dict = {}
        for _, counted, named in found:
            causes.update(counted)
            first = {**named, **first}
        if causes and is_main_process():
            seen = sum(each[0] for each in found)
            tell(f'{describe(seen, causes, first)}.', logging.WARNING)


def describe(seen: int, causes: Counter, first: dict) -> str:
    """A sentence on replaced images, without a full stop.

    Args:
        seen (int): Number of images seen.
        causes (Counter): How many were replaced, by cause.
        first (dict): The first of each cause.

    Example:
        >>> from collections import Counter
        >>> from soco_mm.engine.hooks.replaced_images_hook import describe
        >>> describe(900, Counter({'is empty': 2}), {'is empty': 'a.jpg'})
        '2 of 900 images were replaced by others: a.jpg is empty, and 1 more'
    """
    named = '; '.join(
        f'{first[cause]} {cause}' + (f', and {number - 1} more' if number > 1 else '')
        for cause, number in causes.most_common()
    )
    return f'{causes.total()} of {seen} images were replaced by others: {named}'
