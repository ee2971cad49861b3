"""Which images ``soco-mm pretrain`` works on."""

import importlib
import json
import shutil

import pytest
import small

from soco_mm.apis.pretrain import check_proposals, pretrain
from soco_mm.cli import main
from soco_mm.proposals import ProposalStore, build_settings
from soco_mm.proposals.listing import list_input
from soco_mm.proposals.make import make_proposals
from soco_mm.utils import UsageError, exclusive


@pytest.fixture
def folders(tmp_path, demo_images):
    """Two folders of two and three photos."""
    names = sorted(path.name for path in demo_images.iterdir())
    for folder, part in (('one', names[:2]), ('two', names[2:])):
        (tmp_path / folder).mkdir()
        for name in part:
            shutil.copy(demo_images / name, tmp_path / folder)
    return tmp_path


class Stop(Exception):
    """Raised where the training would begin."""


@pytest.fixture
def start(monkeypatch, capsys):
    """Pretrain up to the first step; returns config, job and what is said."""
    module = importlib.import_module('soco_mm.apis.pretrain')

    def stop(cfg, *args, **kwargs):
        raise Stop(cfg)

    monkeypatch.setattr(module, 'train_model', stop)

    def run(images, out, *arguments):
        with pytest.raises(Stop) as stopped:
            main(
                [
                    'pretrain',
                    *map(str, images),
                    '--out',
                    str(out),
                    '--config',
                    str(small.SOCO),
                    '--workers',
                    '1',
                    *map(str, arguments),
                ]
            )
        (cfg,) = stopped.value.args
        job = json.loads((out / 'job.json').read_text())
        return cfg, job, capsys.readouterr().out

    return run


def test_several_folders_are_pretrained_on(folders, start):
    out = folders / 'run'
    cfg, job, printed = start([folders / 'one', folders / 'two'], out)
    assert cfg.train_dataloader.dataset.data_root == str(folders)
    assert job['images'] == [str(folders / 'one'), str(folders / 'two')]
    store = ProposalStore.open(out / 'proposals')
    assert len(store) == 5
    assert {path.split('/')[0] for path in store} == {'one', 'two'}


def test_a_run_is_made_again_with_its_proposals(folders, start):
    out = folders / 'run'
    start([folders / 'two'], out)
    (out / 'proposals/report').mkdir()
    cfg, job, _ = start([folders / 'two'], out, '--overwrite', '--preset', 'fast')
    assert job['preset'] == 'fast'
    assert not (out / 'proposals/report').exists()
    store = ProposalStore.open(cfg.train_dataloader.dataset.proposals)
    assert len(store) == 3
    assert store.header['generator'] == build_settings('fast')['generator']


def test_a_run_is_not_deleted_for_a_new_one_that_reads_it(folders, start, capsys):
    out = folders / 'run'
    start([folders / 'two'], out)
    command = ['pretrain', str(folders / 'two'), '--out', str(out), '--overwrite']
    with pytest.raises(SystemExit) as refused:
        main([*command, '--config', str(small.SOCO), '--proposals', f'{out}/proposals'])
    said = capsys.readouterr().err
    assert refused.value.code == 2 and 'would delete' in said and '(proposals)' in said
    assert len(ProposalStore.open(out / 'proposals')) == 3


def test_what_would_do_nothing_or_is_too_little_is_refused(folders, start, capsys):
    out = folders / 'run'
    start([folders / 'two'], folders / 'other')
    (folders / 'alone').mkdir()
    shutil.copy(next((folders / 'one').iterdir()), folders / 'alone')
    store = ['--proposals', f'{folders}/other/proposals']
    for images, options, words in (
        ('two', [*store, '--preset', 'fast'], 'Leave it out with --proposals'),
        ('alone', [], 'There is only 1 image in'),
    ):
        command = ['pretrain', str(folders / images), '--out', str(out), *options]
        with pytest.raises(SystemExit) as refused:
            main([*command, '--config', str(small.SOCO)])
        assert refused.value.code == 2 and words in capsys.readouterr().err
        assert not out.exists()


def test_lists_and_coco_files_are_pretrained_on(folders, start):
    names = sorted(path.name for path in (folders / 'two').iterdir())
    listed = folders / 'list.txt'
    listed.write_text('\n'.join(names[:2]))
    coco = folders / 'coco.json'
    coco.write_text(
        json.dumps(
            dict(
                images=[dict(id=i, file_name=name) for i, name in enumerate(names[1:])]
            )
        )
    )
    for source, wanted in ((listed, names[:2]), (coco, names[1:])):
        out = folders / f'run of {source.stem}'
        cfg, job, _ = start([source], out, '--root', folders / 'two')
        assert cfg.train_dataloader.dataset.data_root == str(folders / 'two')
        assert job['images'] == str(source)
        assert job['root'] == str(folders / 'two')
        assert list(ProposalStore.open(out / 'proposals')) == wanted


def test_runs_in_the_folder_of_images_are_left_out(folders, start, capsys):
    (folders / 'two/notes.txt').write_text('no image')
    for out in (folders / 'two/run', folders / 'two/again'):
        _, _, printed = start([folders / 'two'], out)
        assert (out / 'preview.png').is_file()
        assert len(ProposalStore.open(out / 'proposals')) == 3
        assert '1 file is not an image: .txt 1' in printed
    assert 'run is left out of the images' in printed
    with exclusive(out, 'a run'):
        with pytest.raises(SystemExit) as refused:
            start([folders / 'two'], out, '--overwrite')
    said = capsys.readouterr().err
    assert refused.value.code == 2 and 'Another process is making a run' in said
    assert (out / 'preview.png').is_file()


def test_stores_in_the_folder_of_images_are_left_out(folders, capsys):
    for _ in range(2):
        make_proposals(
            folders, folders / 'store', settings=build_settings(method='whole')
        )
        # As a report of it would leave.
        shutil.copy(next((folders / 'one').iterdir()), folders / 'store/picture.jpg')
    printed = capsys.readouterr().out
    assert 'store is left out of the images: it is for results' in printed
    assert len(ProposalStore.open(folders / 'store')) == 5


def test_bad_sources_are_refused_before_anything_is_written(folders):
    (folders / 'images.zip').write_bytes(b'PK')
    (folders / 'none').mkdir()
    for images, words in (
        (folders / 'images.zip', 'Unpack it first'),
        (folders / 'none', 'no image in'),
        ([folders / 'one', folders / 'none'], 'no image in'),
        (next((folders / 'one').iterdir()), 'is one image. Give a folder'),
    ):
        with pytest.raises(UsageError, match=words):
            pretrain(images, folders / 'run')
    assert not (folders / 'run').exists()


def test_proposals_are_of_the_images_given(folders, capsys):
    store = folders / 'store'
    whole = build_settings(method='whole')
    make_proposals(folders / 'two', store, settings=whole)
    names = list(ProposalStore.open(store))
    check_proposals(store, list_input(folders / 'two'))
    with pytest.raises(UsageError, match=f'{names[0]} is not in the 2 images'):
        check_proposals(store, list_input(folders / 'one'))
    # Images of the store that a list leaves out are not trained on unasked.
    (folders / 'list.txt').write_text(names[0])
    with pytest.raises(UsageError, match=f'{names[1]} is not in the 1 images'):
        check_proposals(store, list_input(folders / 'list.txt', folders / 'two'))
    capsys.readouterr()
    (folders / 'two' / names[2]).unlink()
    shutil.copytree(folders / 'one', folders / 'two/more')
    check_proposals(store, list_input(folders / 'two'))
    printed = capsys.readouterr().out
    assert f'1 of 3 images of {store} are missing' in printed
    assert '2 of 4 images have no proposals' in printed
