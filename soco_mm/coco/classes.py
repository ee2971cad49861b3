"""Categories of a file, and the classes of a detector."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from soco_mm.errors import SoCoError, did_you_mean

from .account import ROOT, Account
from .structure import Category, ObjectEntry

SHOWN = 20  # categories in a message


def choose_classes(
    path: str | Path,
    categories: Sequence[Category],
    objects: Sequence[ObjectEntry],
    classes: Sequence[str] | None,
    account: Account,
) -> tuple[tuple[str, ...], list[int | None]]:
    """The classes of a detector, and the class of each category.

    Args:
        path (str | Path): The file, for messages.
        categories (Sequence[Category]): The categories of the file.
        objects (Sequence[ObjectEntry]): Its objects.
        classes (Sequence[str], optional): Names of the classes, by which
            categories are matched. Defaults to None, those of the file in its
            order, without categories that only group others.
        account (Account): The latter are counted here.

    Returns:
        tuple: Names of the classes, and for each category the index of its
        class, or None.

    Raises:
        SoCoError: If two categories have the same name.
    """
    used = {each.category for each in objects}
    # Some name a category as its own.
    parents = {
        each.supercategory for each in categories if each.supercategory != each.name
    }
    kept = []
    all_names = [each.name for each in categories]
    for index, each in enumerate(categories):
        # Some tools name the group as the one class in it.
        groups = each.name in parents or all_names.count(each.name) > 1
        wanted = (
            classes is not None
            and each.name in classes
            and (all_names.count(each.name) == 1)
        )
        if index not in used and groups and not wanted:
            account.add(ROOT, each.name)
        else:
            kept.append(each)
    names = tuple(each.name for each in kept)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SoCoError(
            f'{path} has two categories named {twice[0]}. Give each its own name.'
        )
    if classes is not None:
        names = tuple(classes)
    index_of = {name: index for index, name in enumerate(names)}
    chosen = {each.number for each in kept}
    labels = [
        index_of.get(each.name) if each.number in chosen else None
        for each in categories
    ]
    return names, labels


def no_category(path: str | Path, name: str, known: Iterable[str]) -> str:
    """The message about a class that is not a category of a file.

    Args:
        path (str | Path): The file.
        name (str): The class.
        known (Iterable[str]): Names of the categories of the file.
    """
    known = sorted(known)
    shown = ', '.join(known[:SHOWN]) + ', ...' * (len(known) > SHOWN)
    return f'{path} has no category {name}.{did_you_mean(name, known)} It has {shown}.'
