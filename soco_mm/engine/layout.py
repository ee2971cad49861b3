"""How the steps of an optimiser are divided into iterations."""

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Layout:
    """How the steps of the optimiser are divided into iterations.

    Attributes:
        images (int): Images per step, on all processes.
        accumulated (int): Iterations of a step.
        iterations (int): Iterations of an epoch.
    """

    images: int
    accumulated: int
    iterations: int

    @classmethod
    def of(cls, noted: dict) -> 'Layout':
        """That of what :func:`describe_training` returns."""
        accumulated = noted['accumulative_counts']
        # A loader with batches of its own has no batch size.
        images = (noted['batch_size'] or 1) * noted['processes'] * accumulated
        return cls(images, accumulated, noted['iterations'])

    @property
    def steps(self) -> Fraction:
        """Steps of an epoch, whole with :class:`EpochTrainLoop`."""
        return Fraction(self.iterations, self.accumulated)

    def numbers_as(self, other: 'Layout') -> bool:
        """Whether an iteration has the same number."""
        own = self.iterations, self.accumulated
        return own == (other.iterations, other.accumulated)

    def has_steps_of(self, other: 'Layout') -> bool:
        """Whether each step takes the same images."""
        return (self.images, self.steps) == (other.images, other.steps)

    def convert(self, epoch: int, done: int, other: 'Layout') -> int:
        """Iterations in another layout.

        Args:
            epoch (int): Epochs that are done.
            done (int): Iterations that are done, in this one.
            other (Layout): The other one.

        Returns:
            int: As many as take the same steps if it has these; else the same
            share of an epoch, down to a whole step.
        """
        steps = (done - epoch * self.iterations) // self.accumulated
        if not self.has_steps_of(other):
            steps = int(steps * other.steps / self.steps)
        return epoch * other.iterations + steps * other.accumulated

    def renumber(self, done: int, other: 'Layout') -> int:
        """:meth:`convert`, where the epochs that are done follow from iterations."""
        return self.convert(done // self.iterations, done, other)
