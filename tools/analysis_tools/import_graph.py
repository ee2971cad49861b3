"""Check the import graph of the package: which folder imports which, and its size.

A room is a folder of soco_mm, or a module beside them. Rooms have an order, from
low to high, and import only lower ones; modules do not import one another in a
circle; no room holds more than a fifth of the lines.
"""

import argparse
import ast
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).parents[2] / 'soco_mm'
# From low to high; those of one line do not import one another.
FLOORS = (
    ('errors', 'version', 'registry', 'log'),
    ('openmmlab', 'weights_only'),
    ('utils',),
    ('job',),
    ('coco',),
    ('proposals',),
    ('checkpoint',),
    ('visualization',),
    ('datasets',),
    ('models',),
    ('engine',),
    ('planning',),
    ('detectors',),
    ('evaluation',),
    ('runs',),
    ('installation',),
    ('apis',),
    ('cli',),
)
LARGEST = 1 / 5


class Import(NamedTuple):
    """An import of a module of the package by another.

    Attributes:
        source (str): The importing module, as ``utils.files``.
        target (str): The imported one.
        line (int): Where, in the file of ``source``.
        deferred (bool): Whether it stands in a function, and so happens when
            that is called.
    """

    source: str
    target: str
    line: int
    deferred: bool

    def __str__(self) -> str:
        source, target = self.source or 'soco_mm', self.target or 'soco_mm'
        return f'{source} imports {target} (line {self.line})'


def find_modules(package: Path) -> dict[str, Path]:
    """The modules of a package by their dotted names below it.

    Folders that begin with a dot hold no code of the package.

    Args:
        package (Path): The folder of the package.

    Returns:
        dict[str, Path]: The files. The package itself is ``''``.
    """
    modules = {}
    for path in sorted(package.rglob('*.py')):
        parts = path.relative_to(package).with_suffix('').parts
        if not any(part.startswith('.') for part in parts):
            modules['.'.join(p for p in parts if p != '__init__')] = path
    return modules


def walk_imports(
    tree: ast.AST, deferred: bool = False
) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """All imports of a module, and whether each stands in a function."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node, deferred
        else:
            function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            yield from walk_imports(node, deferred or function)


def read_imports(package: Path) -> list[Import]:
    """Read which modules of a package import which.

    ``from soco_mm.utils import files`` imports the module ``utils.files`` if
    there is one, and ``utils`` otherwise.

    Args:
        package (Path): The folder of the package.

    Returns:
        list[Import]: All imports within the package.
    """
    modules = find_modules(package)
    found = []
    for source, path in modules.items():
        inside = [package.name, *source.split('.')] if source else [package.name]
        if path.name != '__init__.py':
            inside.pop()
        for node, deferred in walk_imports(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                # The folder of the module, or one of those above it.
                above = inside[: len(inside) - node.level + 1] if node.level else []
                base = '.'.join([*above, node.module] if node.module else above)
                names = [f'{base}.{alias.name}' for alias in node.names]
            for name in names:
                top, _, target = name.partition('.')
                if top != package.name:
                    continue
                if target not in modules:
                    target = target.rpartition('.')[0]
                if target != source:
                    found.append(Import(source, target, node.lineno, deferred))
    return found


def room_of(module: str) -> str:
    """The room of a module: ``utils`` of ``utils.files``."""
    return module.split('.')[0]


def count_lines(package: Path) -> dict[str, int]:
    """Count the lines of each room of a package.

    Args:
        package (Path): The folder of the package.

    Returns:
        dict[str, int]: The lines of the Python files by room.
    """
    lines: dict[str, int] = {}
    for module, path in find_modules(package).items():
        room = room_of(module)
        lines[room] = lines.get(room, 0) + len(path.read_text().splitlines())
    return lines


def find_upward(imports: list[Import]) -> list[str]:
    """What a room imports from another that is not lower.

    The package's own ``__init__`` is above all rooms.

    Args:
        imports (list[Import]): The imports, those in functions too.

    Returns:
        list[str]: A sentence for each.
    """
    floor = {room: i for i, rooms in enumerate([*FLOORS, ('',)]) for room in rooms}
    wrong = []
    for each in imports:
        source, target = room_of(each.source), room_of(each.target)
        if source == target:
            continue
        unknown = [room for room in (source, target) if room not in floor]
        if unknown:
            wrong.append(f'{each}, but {unknown[0]!r} has no place in the order')
        elif floor[target] >= floor[source]:
            wrong.append(f'{each}, which is not lower')
    return wrong


def find_circle(imports: list[Import]) -> str | None:
    """A circle of modules that import one another when they are loaded.

    Args:
        imports (list[Import]): The imports; those in functions do not count.

    Returns:
        str, optional: One circle, None if there is none.
    """
    graph: dict[str, set[str]] = {}
    for each in imports:
        if not each.deferred:
            graph.setdefault(each.source, set()).add(each.target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return ' <- '.join(error.args[1])
    return None


def find_large(lines: dict[str, int]) -> list[str]:
    """Rooms with more than their share of the lines.

    Args:
        lines (dict[str, int]): Lines by room.

    Returns:
        list[str]: A sentence for each.
    """
    total = sum(lines.values())
    return [
        f'{room} has {count / total:.1%} of the lines, more than {LARGEST:.0%}'
        for room, count in lines.items()
        if count > LARGEST * total
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        'package',
        nargs='?',
        type=Path,
        default=PACKAGE,
        help='its folder (default: soco_mm)',
    )
    args = parser.parse_args()
    imports, lines = read_imports(args.package), count_lines(args.package)
    total = sum(lines.values())
    print('| room | lines | share | imports |\n|---|---|---|---|')
    for room in [room for rooms in FLOORS for room in rooms if room in lines]:
        below = {
            room_of(each.target) for each in imports if room_of(each.source) == room
        }
        names = ', '.join(sorted(below - {room}))
        print(f'| {room} | {lines[room]} | {lines[room] / total:.1%} | {names} |')
    circle = find_circle(imports)
    wrong = [
        *([f'circle: {circle}'] if circle else []),
        *find_upward(imports),
        *find_large(lines),
    ]
    for each in wrong:
        print(f'ERROR: {each}', file=sys.stderr)
    sys.exit(1 if wrong else 0)


if __name__ == '__main__':
    main()
