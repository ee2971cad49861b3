from collections.abc import Sequence

Prob = float | Sequence[float]


def per_view(prob: Prob, num_views: int) -> list[float]:
    """One probability per view.

    Args:
        prob (float | Sequence[float]): For all views; or for the first ones,
            where the last also holds for all that follow: ``(1.0, 0.1)`` is
            1.0 for V1 and 0.1 for the others.
        num_views (int): Number of views.

    Returns:
        list[float]: One per view.

    Raises:
        ValueError: If more are given than there are views.
    """
    probs = list(prob) if isinstance(prob, Sequence) else [prob]
    if len(probs) > num_views:
        raise ValueError(
            f'There are {num_views} views, but probabilities for {len(probs)}: {prob}.'
        )
    return probs + probs[-1:] * (num_views - len(probs))
