"""HTML pages and SVG drawings from the templates next to this file."""

import base64
import re
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

# How a page is recognised, in its first bytes.
GENERATOR = b'<meta name="generator" content="soco_mm">'


def render(template: str, **values) -> Markup:
    """Fill a template; values are escaped unless they are :class:`Markup`.

    Args:
        template (str): Name of a file in ``templates``.
        **values: What it shows. None becomes an en dash.

    Returns:
        Markup: A string that other templates put in as it is.

    Example:
        >>> page = render('gallery.html.j2', title='a < b', text='', entries=[])
        >>> '<h1>a &lt; b</h1>' in page
        True
    """
    return Markup(ENVIRONMENT.get_template(template).render(values))


def is_page(path: Path) -> bool:
    """Whether a file is a page of this project, which another may replace."""
    if not path.is_file():
        return False
    with path.open('rb') as stream:
        return GENERATOR in stream.read(256)


def number(value: float) -> str:
    r"""A count with narrow spaces between the thousands.

    >>> number(1234567)
    '1\u202f234\u202f567'
    """
    return f'{value:,.0f}'.replace(',', '\u202f')


def percent(share: float) -> str:
    r"""A share in percent.

    >>> percent(0.125)
    '12.5\u202f%'
    """
    return f'{100 * share:.1f}\u202f%'


def mark_flags(text: str) -> Markup:
    """Mark command-line flags and their values as code.

    >>> mark_flags('lower --min-size 5, or < 5')
    Markup('lower <code>--min-size 5</code>, or &lt; 5')
    """
    text = str(escape(_readable(text)))
    return Markup(re.sub(r'--[a-z-]+( [\d.]*\d)*', r'<code>\g<0></code>', text))


def jpeg_url(data: bytes) -> str:
    """A picture inside the page."""
    return f'data:image/jpeg;base64,{base64.b64encode(data).decode()}'


def _readable(value):
    """File names are bytes: what is not UTF-8 becomes a backslash and digits."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return value.encode('utf-8', 'backslashreplace').decode()
    return '–' if value is None else value


ENVIRONMENT = Environment(
    loader=PackageLoader('soco_mm.visualization'),
    autoescape=True,
    undefined=StrictUndefined,
    finalize=_readable,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
ENVIRONMENT.filters.update(
    number=number,
    percent=percent,
    mark_flags=mark_flags,
    jpeg_url=jpeg_url,
    file_url=quote,
)
