"""Write the tables of a study into a page, and its picture."""

from pathlib import Path

from soco_mm.utils import UsageError, atomic_write

from .picture import draw_differences
from .records import read_cells, read_pretrainings
from .tables import describe_study

BEGIN, END = '<!-- study: begin -->', '<!-- study: end -->'


def read_page(path: Path) -> str:
    """The text of a page.

    Raises:
        UsageError: If there is none.
    """
    if not path.is_file():
        raise UsageError(
            f'There is no page {path}. Give a Markdown file with the lines {BEGIN} '
            f'and {END}.'
        )
    return path.read_text()


def write_tables(page: str, tables: str) -> str:
    """A page with the tables between its two markers.

    Raises:
        UsageError: If the page lacks one of them.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UsageError(f'The page lacks the line {BEGIN} or {END}.')
    return f'{before}{BEGIN}\n\n{tables}\n\n{END}{after}'


def report_study(out: Path, page: Path | None = None) -> list[Path]:
    """Write ``tables.md`` and ``differences.png`` of a study, and into a page.

    Args:
        out (Path): The folder of the study.
        page (Path, optional): A Markdown page with the markers.

    Returns:
        list[Path]: The files; none without cells.
    """
    cells = read_cells(out)
    tables = describe_study(cells, read_pretrainings(out))
    if not tables:
        return []
    written = [out / 'tables.md']
    atomic_write(written[0], tables + '\n')
    try:
        draw_differences(cells, out / 'differences.png')
        written.append(out / 'differences.png')
    except ValueError:  # not four pairs yet
        pass
    if page:
        atomic_write(page, write_tables(read_page(page), tables))
        written.append(page)
    return written
