"""XML files, read safely, whose elements know their lines."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from soco_mm.errors import UsageError

# No xml file of one image is larger, in bytes.
MAX_BYTES = 2**26


class Entity(ValueError):
    """An entity is defined, which can expand without limit."""


class PlacedElement(Element):
    """An element with its line in the file, from 1."""

    line: int = 0


class PlacedError(ValueError):
    """What is wrong in an XML file, with the line."""

    def __init__(self, reason: str, line: int) -> None:
        super().__init__(reason)
        self.line = line


def read_xml(path: Path) -> PlacedElement:
    """Read an XML file.

    Args:
        path (Path): The file.

    Returns:
        PlacedElement: Its root.

    Raises:
        UsageError: If it is not XML, with its line; or defines entities, or
            is too large.
    """
    parser = expat.ParserCreate()

    def place(tag: str, attributes: dict) -> PlacedElement:
        element = PlacedElement(tag, attributes)
        element.line = parser.CurrentLineNumber
        return element

    def refuse(name: str, *_) -> None:
        raise Entity(f'it defines the entity {name}, which is not read')

    tree = TreeBuilder(element_factory=place)
    parser.buffer_text = True
    parser.StartElementHandler = tree.start
    parser.EndElementHandler = tree.end
    parser.CharacterDataHandler = tree.data
    parser.EntityDeclHandler = refuse
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(
                f'{path} has more than {MAX_BYTES >> 20} MiB: it '
                'is not the xml file of one image.'
            )
        parser.Parse(path.read_bytes(), True)
    except OSError as error:
        raise UsageError(f'{path} cannot be read ({error.strerror}).') from None
    except (expat.ExpatError, Entity, LookupError, ValueError) as error:
        reason = (
            expat.ErrorString(error.code)
            if isinstance(error, expat.ExpatError)
            else error
        )
        raise UsageError(
            f'{path}:{parser.CurrentLineNumber}: not the XML of annotations ({reason}).'
        ) from None
    return cast(PlacedElement, tree.close())


def children(element: PlacedElement, name: str) -> list[PlacedElement]:
    """The children of a name, as :func:`read_xml` makes them."""
    return cast(list[PlacedElement], element.findall(name))


def value_of(element: PlacedElement, name: str, read: Callable[[str], Any]) -> Any:
    """The value of the first child with a given name.

    Args:
        element (PlacedElement): The parent.
        name (str): The name, or names with ``/`` between them.
        read (Callable): Makes the value of the text.

    Returns:
        Any: The value; that of an empty text where there is no such child.

    Raises:
        PlacedError: If the text is wrong.
    """
    child = element.find(name)
    text = '' if child is None else (child.text or '').strip()
    try:
        return read(text)
    except ValueError as error:
        reason = f'it has no {name}' if not text else f'{name} {error}'
        wrong = cast(PlacedElement, element if child is None else child)
        raise PlacedError(reason, wrong.line) from None
