import json
import os
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest

from soco_mm.apis.report_proposals import report_proposals
from soco_mm.cli import build_parser
from soco_mm.proposals import ProposalFilter, Proposals, ProposalStore, SelectiveSearch
from soco_mm.proposals.layout import encode_path
from soco_mm.utils import SoCoError, UsageError, read_image

ODD = 'b/odd \udcff <b>.jpg'  # a name that is not UTF-8


class Page(HTMLParser):
    """What a page holds."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.sources, self.text = [], [], ''
        self.feed(path.read_text(encoding='utf-8'))

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.sources += [value for name, value in attributes if name in ('src', 'href')]

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope='module')
def made(tmp_path_factory, request):
    """A store of two photos, one with an odd name, and a damaged image."""
    folder = tmp_path_factory.mktemp('made')
    photos = sorted((request.config.rootpath / 'demo/images').glob('*.jpg'))
    (folder / 'images' / 'b').mkdir(parents=True)
    results = []
    for path, photo in zip(('a.jpg', ODD), photos):
        shutil.copy(photo, os.path.join(folder, 'images', path))
        image = read_image(os.path.join(folder, 'images', path))
        boxes, status = ProposalFilter()(SelectiveSearch()(image), *image.shape[1::-1])
        results.append(Proposals(path, boxes, image.shape[1::-1], status))
    results.append(Proposals('c.jpg', np.zeros((0, 4)), (0, 0), 3, 'is damaged'))
    results.sort(key=lambda each: encode_path(each.path))
    ProposalStore.write(
        folder / 'store',
        dict(
            generator=dict(type='SelectiveSearch', scale=500),
            filter=dict(max_aspect=3, size_range=[0.3, 0.8], min_side=0),
            root=str(folder / 'images'),
        ),
        results,
    )
    return folder


def annotate(made, path, name='a.jpg'):
    """One object that is a proposal, and one that is too small to be kept."""
    store = ProposalStore.open(made / 'store')
    x1, y1, x2, y2 = store['a.jpg'][0].tolist()
    path.write_text(
        json.dumps(
            dict(
                images=[dict(id=1, file_name=name)],
                annotations=[
                    dict(id=1, image_id=1, bbox=[x1, y1, x2 - x1, y2 - y1]),
                    dict(id=2, image_id=1, bbox=[5, 5, 20, 20]),
                ],
            )
        )
    )
    return path


def test_page_lies_beside_the_store_with_pictures(made):
    report = report_proposals(made / 'store')
    assert report.report == str(made / 'store.report.html')
    assert report.pictures == 4 and report.note == ''
    page = Page(made / 'store.report.html')
    assert page.tags.count('img') == 4 and 'script' not in page.tags
    assert all(source.startswith('data:image/jpeg;base64,') for source in page.sources)
    assert 'b/odd \\udcff <b>.jpg' in page.text
    assert 'c.jpg is damaged' in page.text
    assert 'max_side500' in page.text  # though the header leaves it out
    assert report.recall is None
    assert [each.split()[:3] for each in report.advice] == [['1', 'image', 'failed,']]


def test_annotations_are_measured_and_advised_on(made, tmp_path):
    annotations = annotate(made, tmp_path / 'ann.json')
    report = report_proposals(
        made / 'store', tmp_path / 'deep' / 'page.html', annotations=annotations
    )
    found = report.recall['proposals']
    assert found['all']['recall_50'] == 0.5 and found['small']['objects'] == 1
    assert found['large']['recall_70'] == 1
    assert report.advice[0].startswith('50 % of the annotated objects are')
    page = Page(tmp_path / 'deep' / 'page.html')
    assert report.advice[0] in page.text.replace('\n', ' ')
    assert 'Annotated objects' in page.text and '0.500' in page.text


def test_images_may_have_moved_changed_or_vanished(made, tmp_path):
    out = tmp_path / 'page.html'
    report = report_proposals(made / 'store', out, images=tmp_path / 'gone')
    assert report.pictures == 0 and 'gone' in report.note
    page = Page(out)
    assert 'img' not in page.tags and report.note in page.text

    (tmp_path / 'moved' / 'b').mkdir(parents=True)
    shutil.copy(made / 'images' / 'a.jpg', tmp_path / 'moved' / 'a.jpg')
    report = report_proposals(made / 'store', out, images=tmp_path / 'moved')
    assert report.pictures == 2
    assert 'The image cannot be read (No such file' in Page(out).text

    shutil.copy(made / 'images' / 'a.jpg', os.path.join(tmp_path, 'moved', ODD))
    assert (
        report_proposals(made / 'store', out, images=tmp_path / 'moved').pictures == 2
    )
    assert 'The image has changed: it is' in Page(out).text


def test_store_that_names_no_folder_has_no_pictures(tmp_path):
    ProposalStore.write(
        tmp_path / 'store',
        dict(generator=dict(type='a.B', x=2)),
        [Proposals('a.jpg', np.float32([[0, 0, 5, 5]]), (9, 9), 0)],
    )
    report = report_proposals(tmp_path / 'store')
    assert report.note and report.note in Page(tmp_path / 'store.report.html').text


def test_what_cannot_be_reported_is_refused(made, tmp_path):
    with pytest.raises(SoCoError, match='no proposals in'):
        report_proposals(tmp_path / 'none')
    (tmp_path / 'mine.html').write_text('<p>mine</p>')
    with pytest.raises(UsageError, match=r'mine.html already exists and is not the'):
        report_proposals(made / 'store', tmp_path / 'mine.html')
    with pytest.raises(UsageError, match='is a folder'):
        report_proposals(made / 'store', tmp_path)
    with pytest.raises(UsageError, match='other.jpg there and a.jpg here'):
        report_proposals(
            made / 'store',
            tmp_path / 'page.html',
            annotations=annotate(made, tmp_path / 'ann.json', 'other.jpg'),
        )
    ProposalStore.write(tmp_path / 'empty', dict(generator=dict(type='a.B')), [])
    with pytest.raises(UsageError, match='no images'):
        report_proposals(tmp_path / 'empty')
    assert [each.read_text() for each in tmp_path.glob('*.html')] == ['<p>mine</p>']


def test_command_prints_figures_and_advice(made, tmp_path, capsys):
    args = build_parser().parse_args(
        [
            'proposals',
            'report',
            str(made / 'store'),
            '--images',
            str(made / 'images'),
            '--ann',
            str(annotate(made, tmp_path / 'ann.json')),
            '--out',
            str(tmp_path / 'page.html'),
        ]
    )
    args.function(args)
    out = capsys.readouterr().out
    assert '2 annotated objects: 50.0 % found at IoU 0.5' in out
    assert 'advice: 50 % of the annotated objects are smaller' in out
    assert f'Report: {tmp_path / "page.html"}' in out
