import jinja2
import pytest
from markupsafe import Markup

from soco_mm.visualization.pages import ENVIRONMENT, is_page, mark_flags, render

DRAWING = ['width', 'height', 'left', 'right', 'top', 'base', 'title', 'shares']
DRAWING += ['bars', 'line', 'ticks', 'bounds']
HOSTILE = '<script>"\udcff'


def test_text_is_escaped_and_markup_is_not():
    page = render('gallery.html.j2', title=HOSTILE, text=Markup('<b>b</b>'), entries=[])
    assert '<h1>&lt;script&gt;&#34;\\udcff</h1>' in page and '<b>b</b>' in page
    assert '<script>' not in page
    page.encode('utf-8')  # can be written to a file


def test_only_pages_of_this_project_are_recognised(tmp_path):
    page = render('gallery.html.j2', title='', text='', entries=[])
    for content, own in ((page, True), (page.replace('soco_mm', 'other'), False)):
        (tmp_path / 'page.html').write_text(content)
        assert is_page(tmp_path / 'page.html') is own
    assert not is_page(tmp_path / 'none.html') and not is_page(tmp_path)


def test_a_page_can_be_put_into_another():
    inner = render(
        'histogram.svg.j2',
        **dict.fromkeys(DRAWING, ()) | dict(left=1, top=1, base=1, title='<t>'),
    )
    outer = render('gallery.html.j2', title='', text=inner, entries=[])
    assert inner in outer and 'aria-label="&lt;t&gt;"' in outer


def test_a_value_that_a_template_needs_cannot_be_forgotten():
    with pytest.raises(jinja2.UndefinedError, match='text'):
        render('gallery.html.j2', title='', entries=[])


@pytest.mark.parametrize('name', ENVIRONMENT.list_templates(['j2']))
def test_templates_compile(name):
    ENVIRONMENT.get_template(name)


def test_flags_are_marked_in_escaped_text():
    assert mark_flags('<b> --size-range 0.05 0.8.') == (
        '&lt;b&gt; <code>--size-range 0.05 0.8</code>.'
    )
