"""Images that others take the place of, told to the main process with a batch."""

from collections.abc import Callable

# The key in a sample and in a batch, where there are any: pairs of path and cause.
REPLACED = 'replaced'


class CollateAndNote:
    """Collate samples, and gather which images they replace.

    Args:
        collate (Callable): What makes a batch of a list of samples.

    Example:
        >>> from torch.utils.data import default_collate
        >>> from soco_mm.datasets.replaced import CollateAndNote
        >>> samples = [dict(x=1), dict(x=2, replaced=[('a.jpg', 'is empty')])]
        >>> CollateAndNote(default_collate)(samples)
        {'x': tensor([1, 2]), 'replaced': [('a.jpg', 'is empty')]}
    """

    def __init__(self, collate: Callable) -> None:
        self.collate = collate

    def __call__(self, samples: list[dict]) -> dict:
        """Make a batch; the samples lose what they note."""
        noted = [pair for each in samples for pair in each.pop(REPLACED, ())]
        batch = self.collate(samples)
        if noted:
            batch[REPLACED] = noted
        return batch
