from collections.abc import Sequence

Prob = float | Sequence[float]


def per_view(prob: Prob, number: int) -> list[float]:
    """Probabilities of all views.

    Args:
        prob (float | Sequence[float]): For all views; or for the first ones,
            of which the last holds for all that follow: ``(1.0, 0.1)`` is 1.0
            for V1 and 0.1 for the others.
        number (int): Number of views.

    Returns:
        list[float]: One a view.

    Raises:
        ValueError: If more are given than there are views.
    """
    probs = list(prob) if isinstance(prob, Sequence) else [prob]
    if len(probs) > number:
        raise ValueError(
            f'There are {number} views, but probabilities for {len(probs)}: {prob}.'
        )
    return probs + probs[-1:] * (number - len(probs))
