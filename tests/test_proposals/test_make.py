"""From images to a store, as ``soco-mm proposals`` does it."""

import glob
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from commands import free_port

from soco_mm.proposals import Journal, ProposalStore, build_settings
from soco_mm.proposals.generate import generate_proposals
from soco_mm.proposals.layout import INFORMATIVE
from soco_mm.proposals.make import make_proposals, merge_proposals
from soco_mm.utils import SoCoError, UsageError, atomic_folder, read_image

ROOT = Path(__file__).parents[2]


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def bad_folder(tmp_path, demo_images):
    """Images of every kind that has broken something before."""
    folder = tmp_path / 'images'
    good = (demo_images / 'coffee.jpg').read_bytes()
    pixels = cv2.imdecode(np.frombuffer(good, np.uint8), cv2.IMREAD_COLOR)
    pixels = cv2.resize(pixels, (150, 100))

    def write(name, image, params=()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        done, data = cv2.imencode(path.suffix, image, params)
        assert done
        path.write_bytes(data.tobytes())

    write('name with spaces/ünïcödé 猫.jpg', pixels)
    write('a/same.png', pixels)
    write('b/same.png', pixels[:, ::-1])
    write('grey.png', pixels[..., 0])
    write('deep.png', pixels.astype(np.uint16) * 256)
    write('one pixel.png', pixels[:1, :1])
    write('huge.png', np.zeros((300, 400), np.uint8))
    from PIL import Image

    Image.fromarray(pixels).convert('CMYK').save(folder / 'cmyk.jpg')
    exif = Image.Exif()
    exif[0x112] = 6  # turned by 90 degrees
    Image.fromarray(pixels).save(folder / 'rotated.jpg', exif=exif)
    write('truncated.jpg', pixels)
    data = (folder / 'truncated.jpg').read_bytes()
    (folder / 'truncated.jpg').write_bytes(data[: len(data) // 2])
    (folder / 'empty.jpg').write_bytes(b'')
    (folder / 'text.jpg').write_text('not an image')
    (folder / 'notes.txt').write_text('left alone')
    (folder / '.hidden.jpg').write_bytes(b'left alone')
    return folder


def test_bad_images_are_skipped_and_counted_and_odd_ones_work(bad_folder, tmp_path):
    summary = make_proposals(
        bad_folder,
        tmp_path / 'store',
        settings=build_settings(max_pixels=100_000),
        num_workers=2,
    )
    store = ProposalStore.open(tmp_path / 'store')
    assert list(store) == [
        'a/same.png',
        'b/same.png',
        'cmyk.jpg',
        'deep.png',
        'grey.png',
        'name with spaces/ünïcödé 猫.jpg',
        'rotated.jpg',
    ]
    index = store.index('rotated.jpg')
    assert store.size(index) == (100, 150)
    assert read_image(bad_folder / 'rotated.jpg').shape == (150, 100, 3)
    assert summary.left_out == summary.failures == 5
    failures = (tmp_path / 'store/failures.jsonl').read_text()
    for name, reason in (
        ('truncated.jpg', 'damaged'),
        ('empty.jpg', 'empty'),
        ('text.jpg', 'not an image'),
        ('one pixel.png', 'too small (1x1'),
        ('huge.png', 'too large (400x300'),
    ):
        (line,) = (line for line in failures.splitlines() if name in line)
        assert reason in line
    assert '5 images failed: 5 cannot be used' in summary.describe()


def make_many(folder, copies, step):
    """A folder of reduced images, and the store of an undisturbed run."""
    for number, path in enumerate(sorted((ROOT / 'demo/images').iterdir()) * copies):
        image = cv2.imread(str(path))[number::step, ::2]
        (folder / f'images/{number % 3}').mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f'images/{number % 3}/{number}.jpg'), image)
    (folder / 'images/broken.jpg').write_bytes(b'')
    make_proposals(folder / 'images', folder / 'store', num_workers=1)
    return folder / 'images', folder / 'store'


@pytest.fixture(scope='module')
def many(tmp_path_factory):
    """40 images of about 80 x 250 pixels, and their store."""
    return make_many(tmp_path_factory.mktemp('many'), 8, 5)


@pytest.fixture(scope='module')
def large(tmp_path_factory):
    """30 images of about 400 x 250 pixels, for runs that are disturbed."""
    return make_many(tmp_path_factory.mktemp('large'), 6, 1)


def children(pid):
    """Processes below one, by /proc."""
    found = []
    for task in glob.glob(f'/proc/{pid}/task/*/children'):
        for child in open(task).read().split():
            found += [int(child), *children(child)]
    return found


@pytest.mark.slow
def test_killed_and_restarted_run_ends_with_the_same_bytes(large, tmp_path):
    images, undisturbed = large
    out = tmp_path / 'out'
    command = [
        sys.executable,
        '-m',
        'soco_mm.cli',
        'proposals',
        str(images),
        '--out',
        str(out),
        '--workers',
        '2',
    ]
    records = tmp_path / 'out.unfinished/records.bin'
    deadline = time.time() + 120
    for _round in range(3):
        size = records.stat().st_size if records.is_file() else 0
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=ROOT)
        while not records.is_file() or records.stat().st_size < size + 2000:
            assert process.poll() is None and time.time() < deadline
            time.sleep(0.002)
        below = children(process.pid)
        process.kill()
        process.wait()
        # The workers end too.
        while any(os.path.exists(f'/proc/{pid}/fd/0') for pid in below):
            assert time.time() < deadline
            time.sleep(0.1)
        assert below and not out.exists()
    kept = int(
        subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
        .stdout.split(' images were done before')[0]
        .split()[-1]
    )
    assert 3 <= kept < 31
    assert content(out) == content(undisturbed)
    assert [path.name for path in tmp_path.iterdir()] == ['out']


def test_result_does_not_depend_on_workers_and_shards(many, tmp_path):
    images, undisturbed = many
    make_proposals(images, tmp_path / 'two', num_workers=2)
    assert content(tmp_path / 'two') == content(undisturbed)
    shards = [tmp_path / str(i) for i in range(2)]
    for i, shard in enumerate(shards, 1):
        make_proposals(images, shard, num_workers=2, shard=(i, 2))
    summary = merge_proposals(shards, tmp_path / 'merged')
    assert content(tmp_path / 'merged') == content(undisturbed)
    assert summary.images == 40 and summary.left_out == 1
    assert merge_proposals(shards, tmp_path / 'merged').kept == 40
    make_proposals(images, tmp_path / 'o', settings=build_settings(method='whole'))
    with pytest.raises(UsageError, match='generator.type WholeImage, not'):
        merge_proposals(shards, tmp_path / 'o')
    merge_proposals(shards, tmp_path / 'o', overwrite=True)
    assert content(tmp_path / 'o') == content(undisturbed)


def test_launched_processes_make_the_same_store(many, tmp_path):
    images, undisturbed = many
    script = ROOT / 'tools/dist_proposals.sh'
    command = ['bash', script, images, tmp_path / 'a store', '2']
    for _ in range(2):  # the second time there is nothing left to do
        done = subprocess.run(
            command,
            env=dict(os.environ, PYTHON=sys.executable, PORT=str(free_port())),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert content(tmp_path / 'a store') == content(undisturbed)
    assert done.stdout.count(' images were done before') >= 2


def test_slurm_script_starts_a_process_a_shard_and_merges(many, tmp_path):
    images, undisturbed = many
    srun = tmp_path / 'bin/srun'
    srun.parent.mkdir()
    # What srun does for one machine: the command, once a task.
    srun.write_text("""#!/usr/bin/env bash
tasks=$(printf '%s\\n' "$@" | sed -n 's/^--ntasks=//p')
while [[ "$1" != */python* ]]; do shift; done
for ((rank = 0; rank < tasks; rank++)); do
  SLURM_PROCID=$rank SLURM_NTASKS=$tasks "$@" || exit
done
""")
    srun.chmod(0o755)
    done = subprocess.run(
        [
            'bash',
            ROOT / 'tools/slurm_proposals.sh',
            'gpu',
            'name',
            images,
            tmp_path / 'store',
        ],
        env=dict(
            os.environ,
            PATH=f'{srun.parent}:{os.environ["PATH"]}',
            PYTHON=sys.executable,
            PROCESSES='2',
            CPUS_PER_TASK='1',
        ),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert content(tmp_path / 'store') == content(undisturbed)
    assert (tmp_path / 'store.shards/2-of-2/header.json').is_file()


def test_new_images_complete_a_store(many, tmp_path):
    images, undisturbed = many
    shutil.copytree(images, tmp_path / 'images')
    (tmp_path / 'images/0').rename(tmp_path / 'later')
    out = tmp_path / 'store'
    few = make_proposals(tmp_path / 'images', out)
    (tmp_path / 'later').rename(tmp_path / 'images/0')
    assert few.images == 26
    summary = make_proposals(tmp_path / 'images', out)
    assert summary.kept == few.images + 1  # the broken one
    assert summary.images == 40
    for name, data in content(undisturbed).items():
        if name != 'header.json':  # it holds the folder
            assert (out / name).read_bytes() == data, name
    again = make_proposals(tmp_path / 'images', out)
    assert again.kept == 41 and again.images == 40


def test_other_images_of_the_same_names_are_refused(demo_images, tmp_path):
    for name, turn in (('one', False), ('other', True)):
        (tmp_path / name).mkdir()
        for path in sorted(demo_images.iterdir())[:2]:
            image = cv2.imread(str(path))
            image = image[::-1] if turn else image
            cv2.imwrite(str(tmp_path / name / f'{path.stem}.png'), image)
    settings = build_settings(method='random', max_boxes=5)
    out = tmp_path / 'store'
    make_proposals(tmp_path / 'one', out, settings=settings)
    kept = content(out)
    with pytest.raises(
        UsageError, match=r'of the images in .*one, which differ .*other'
    ):
        make_proposals(tmp_path / 'other', out, settings=settings)
    assert content(out) == kept
    # An unfinished run, too.
    header = json.loads((out / 'header.json').read_text())
    made_by = {key: header[key] for key in (*settings, 'made_with', 'shard')}
    journal = Journal(
        out.with_name('store.unfinished'),
        {key: made_by[key] for key in made_by if key not in INFORMATIVE},
        root=str(tmp_path / 'one'),
    )
    journal.append(next(ProposalStore.open(out).results()))
    journal.close()
    shutil.rmtree(out)
    with pytest.raises(UsageError, match=r'store.unfinished .* which differ'):
        make_proposals(tmp_path / 'other', out, settings=settings)
    # A folder that was copied or moved holds the same.
    shutil.copytree(tmp_path / 'one', tmp_path / 'copy')
    assert make_proposals(tmp_path / 'copy', out, settings=settings).kept == 1
    shutil.rmtree(tmp_path / 'copy')
    assert make_proposals(tmp_path / 'one', out, settings=settings).kept == 2


def test_images_are_never_dropped_from_a_store_unasked(many, tmp_path):
    images, undisturbed = many
    out = tmp_path / 'store'
    shutil.copytree(undisturbed, out)
    (tmp_path / 'few.txt').write_text('0/0.jpg\n1/1.jpg\n')
    with pytest.raises(UsageError, match='38 images that are not among'):
        make_proposals(tmp_path / 'few.txt', out, root=images)
    assert content(out) == content(undisturbed)
    few = make_proposals(tmp_path / 'few.txt', out, root=images, overwrite=True)
    assert few.images == 2


def test_failed_images_are_tried_again_on_request(many, tmp_path):
    images, _ = many
    shutil.copytree(images, tmp_path / 'images')
    out = tmp_path / 'store'
    make_proposals(tmp_path / 'images', out)
    shutil.copy(images / '0/0.jpg', tmp_path / 'images/broken.jpg')
    assert make_proposals(tmp_path / 'images', out).failures == 1
    summary = make_proposals(tmp_path / 'images', out, retry_failed=True)
    assert summary.failures == 0 and summary.images == 41
    assert summary.kept == 40
    store = ProposalStore.open(out)
    np.testing.assert_array_equal(store['broken.jpg'], store['0/0.jpg'])


def test_images_that_were_too_large_are_tried_again_within_larger_limits(tmp_path):
    images, out = tmp_path / 'images', tmp_path / 'store'
    images.mkdir()
    for size in (20, 60):
        cv2.imwrite(str(images / f'{size}.png'), np.zeros((size, size, 3), np.uint8))

    def make(pixels, **options):
        settings = build_settings(method='whole', max_pixels=pixels)
        return make_proposals(images, out, settings=settings, **options)

    assert make(1000).images == 1
    with pytest.raises(UsageError, match='max_pixels 1000, not 5000.*--retry-failed'):
        make(5000)
    with pytest.raises(UsageError, match='max_pixels 1000, not 500'):
        make(500, retry_failed=True)
    assert make(5000, retry_failed=True).images == 2
    assert ProposalStore.open(out).header['max_pixels'] == 5000
    # Without a failure too, so that all shards have the same limits.
    assert make(6000, retry_failed=True).kept == 2
    assert ProposalStore.open(out).header['max_pixels'] == 6000


def start(images, out, *arguments):
    """Start making proposals; returns once a few are done."""
    records = out.with_name(out.name + '.unfinished') / 'records.bin'
    size = records.stat().st_size if records.is_file() else 0
    process = subprocess.Popen(
        [
            sys.executable,
            '-m',
            'soco_mm.cli',
            'proposals',
            str(images),
            '--out',
            str(out),
            '--workers',
            '2',
            *arguments,
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.time() + 120
    while not records.is_file() or records.stat().st_size < size + 2000:
        assert process.poll() is None and time.time() < deadline
        time.sleep(0.002)
    return process


def test_a_run_that_replaces_goes_on_after_a_kill(large, tmp_path):
    images, undisturbed = large
    out = tmp_path / 'out'
    make_proposals(images, out, settings=build_settings(method='whole'))
    before = content(out)
    process = start(images, out, '--overwrite')
    process.kill()
    process.communicate()
    assert content(out) == before
    summary = make_proposals(images, out, overwrite=True)
    assert summary.kept >= 3
    assert content(out) == content(undisturbed)


def test_two_processes_do_not_make_the_same_store(large, tmp_path):
    images, undisturbed = large
    out = tmp_path / 'out'
    process = start(images, out)
    for overwrite in (False, True):
        with pytest.raises(UsageError, match='Another process is making'):
            make_proposals(images, out, overwrite=overwrite)
    printed, errors = process.communicate()
    assert process.returncode == 0, errors
    assert content(out) == content(undisturbed)
    assert [path.name for path in tmp_path.iterdir()] == ['out']


@pytest.mark.slow
def test_workers_killed_at_any_time_cost_no_more_than_their_image(large, tmp_path):
    images, _ = large
    process = start(images, tmp_path / 'out', '--sigma', '0.8')
    rng = np.random.default_rng(0)
    for _ in range(8):
        time.sleep(rng.uniform(0.2, 1.0))
        for pid in children(process.pid):
            name = Path(f'/proc/{pid}/cmdline')
            try:
                if b'spawn_main' in name.read_bytes() and rng.random() < 0.5:
                    os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
    printed, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    store = ProposalStore.open(tmp_path / 'out')
    reasons = [each['reason'] for each in store.failures()]
    assert len(store) + sum('reading' in r or 'empty' in r for r in reasons) == 31
    assert len(reasons) <= 9


def test_a_kill_while_a_folder_is_replaced_leaves_one(tmp_path):
    folder = tmp_path / 'store'
    with atomic_folder(folder) as partial:
        (partial / 'old').touch()
    # What is there between the two renames.
    folder.rename(tmp_path / 'store.old')
    with pytest.raises(RuntimeError), atomic_folder(folder):
        raise RuntimeError
    assert (folder / 'old').is_file()
    with atomic_folder(folder) as partial:
        (partial / 'new').touch()
    assert [path.name for path in tmp_path.rglob('*')] == ['store', 'new']


BROKEN_GENERATOR = """
class Broken:
    def __call__(self, image, rng):
        raise SystemExit('no licence')
"""


def test_a_generator_that_always_fails_ends_the_run(demo_images, tmp_path, monkeypatch):
    (tmp_path / 'broken_generator.py').write_text(BROKEN_GENERATOR)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    settings = build_settings(method='broken_generator.Broken')
    with pytest.raises(SoCoError, match='fails on all .*no licence'):
        make_proposals(demo_images, tmp_path / 'out', settings=settings)
    assert [path.name for path in tmp_path.iterdir()] == ['broken_generator.py']


def test_a_store_of_other_settings_is_replaced_on_request_alone(demo_images, tmp_path):
    out = tmp_path / 'store'
    make_proposals(demo_images, out, settings=build_settings(method='whole'))
    before = content(out)
    with pytest.raises(UsageError, match='type WholeImage, not Random'):
        make_proposals(demo_images, out, settings=build_settings(method='random'))
    assert content(out) == before
    make_proposals(
        demo_images, out, settings=build_settings(method='random'), overwrite=True
    )
    header = json.loads((out / 'header.json').read_text())
    assert header['generator']['type'] == 'RandomBoxes'


def test_images_that_all_fail_leave_nothing_behind(tmp_path):
    (tmp_path / 'images').mkdir()
    (tmp_path / 'images/a.jpg').write_bytes(b'no')
    with pytest.raises(SoCoError, match='None of the 1 images .* a.jpg'):
        make_proposals(tmp_path / 'images', tmp_path / 'out')
    assert [path.name for path in tmp_path.iterdir()] == ['images']


def test_file_name_that_is_not_utf8_is_kept(demo_images, tmp_path):
    folder = tmp_path / 'images'
    folder.mkdir()
    name = os.fsdecode(b'caf\xe9.jpg')
    (folder / name).write_bytes((demo_images / 'chelsea.jpg').read_bytes())
    (folder / os.fsdecode(b'bad\xe9.jpg')).write_bytes(b'')
    (tmp_path / 'elsewhere').mkdir()
    (tmp_path / 'link').symlink_to(tmp_path / 'elsewhere')
    summary = make_proposals(folder, tmp_path / 'link', num_workers=1)
    store = ProposalStore.open(tmp_path / 'elsewhere')
    assert list(store) == [name] and len(store[name])
    assert r'bad\udce9.jpg' in summary.describe()


def test_folders_that_cannot_serve_are_refused(demo_images, tmp_path):
    with pytest.raises(UsageError, match='no folder'):
        make_proposals(tmp_path / 'none', tmp_path / 'out')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(UsageError, match='no image in'):
        make_proposals(tmp_path / 'empty', tmp_path / 'out')
    (tmp_path / 'file').write_text('')
    with pytest.raises(UsageError, match='holds no|is not a proposal store'):
        make_proposals(demo_images, tmp_path / 'file')
    with pytest.raises(UsageError, match='cannot be made'):
        make_proposals(demo_images, tmp_path / 'file/out')
    settings = dict(build_settings(), generator=dict(type='no.Such'))
    with pytest.raises(UsageError, match='no class Such in a module no '):
        make_proposals(demo_images, tmp_path / 'out', settings=settings)
    assert not (tmp_path / 'out').exists()
    assert not (tmp_path / 'out.unfinished').exists()


def test_images_that_are_newer_than_their_boxes_are_counted(tmp_path, caplog):
    caplog.set_level('INFO', logger='soco_mm')
    images, out = tmp_path / 'images', tmp_path / 'store'
    images.mkdir()
    for name in 'abc':
        image = np.random.default_rng(ord(name)).integers(0, 255, (40, 50, 3))
        cv2.imwrite(str(images / f'{name}.png'), image.astype(np.uint8))
        os.utime(images / f'{name}.png', (0, 0))
    settings = build_settings(method='random')

    def said():
        caplog.clear()
        make_proposals(images, out, settings=settings, num_workers=1)
        return [each for each in caplog.messages if 'newer' in each]

    assert said() == said() == []
    future = time.time() + 60
    os.utime(images / 'b.png', (future, future))
    (line,) = said()
    assert line.startswith('1 of 3 images are newer than their boxes in ')
    assert 'for example b.png' in line and '--overwrite' in line


def interrupted(monkeypatch, after, **job):
    """Make proposals until a Ctrl-C after some images."""
    made = itertools.count(1)

    def generate(*args):
        for result in generate_proposals(*args):
            yield result
            if next(made) == after:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr('soco_mm.proposals.make.generate_proposals', generate)
        with pytest.raises(KeyboardInterrupt):
            make_proposals(**job, num_workers=1)


def make_images(folder, names, value=99, size=(40, 50)):
    folder.mkdir(exist_ok=True)
    for name in names:
        image = np.full((*size, 3), value, np.uint8)
        cv2.imwrite(str(folder / f'{name}.png'), image)
        os.utime(folder / f'{name}.png', (0, 0))


def test_images_that_are_replaced_while_a_run_stands_still_are_made_again(
    tmp_path, monkeypatch, caplog
):
    caplog.set_level('INFO', logger='soco_mm')
    images, out = tmp_path / 'images', tmp_path / 'store'
    make_images(images, 'abcd')
    job = dict(images=images, out=out, settings=build_settings(method='random'))
    interrupted(monkeypatch, 3, **job)
    make_images(images, 'b', size=(80, 60))
    future = time.time() + 60
    os.utime(images / 'b.png', (future, future))
    summary = make_proposals(**job, num_workers=1)
    assert '1 images are newer than their boxes in ' in caplog.text
    assert summary.kept == 2
    store = ProposalStore.open(out)
    assert [store.size(index) for index in range(4)] == [
        (50, 40),
        (60, 80),
        (50, 40),
        (50, 40),
    ]


def test_what_was_retried_until_a_kill_is_kept(tmp_path, monkeypatch, caplog):
    caplog.set_level('INFO', logger='soco_mm')
    images, out = tmp_path / 'images', tmp_path / 'store'
    make_images(images, 'abcdef')
    for name in 'abcd':
        (images / f'{name}.png').write_bytes(b'no image')
    job = dict(images=images, out=out, settings=build_settings(method='random'))
    assert make_proposals(**job).failures == 4
    make_images(images, 'abcd')
    interrupted(monkeypatch, 3, retry_failed=True, **job)
    assert '5 of 6 images are done and kept' in caplog.text
    summary = make_proposals(**job)
    assert (summary.failures, summary.images) == (1, 5)
    summary = make_proposals(**job, retry_failed=True)
    assert (summary.failures, summary.kept) == (0, 5)


def test_what_was_found_is_counted_once(demo_images, tmp_path, monkeypatch):
    """Also after a kill between the store and the end of its run."""
    images, out = tmp_path / 'images', tmp_path / 'store'
    shutil.copytree(demo_images, images)
    (images / 'coins.jpg').rename(tmp_path / 'later.jpg')
    settings = build_settings(preset='fast')
    with monkeypatch.context() as patch:
        patch.setattr(Journal, 'delete', lambda self: None)
        make_proposals(images, out, settings=settings)
    (tmp_path / 'later.jpg').rename(images / 'coins.jpg')
    make_proposals(images, out, settings=settings)
    make_proposals(images, tmp_path / 'once', settings=settings)
    assert content(out) == content(tmp_path / 'once')


def test_shards_of_other_images_with_as_many_boxes_are_merged_again(tmp_path):
    images, shards = tmp_path / 'images', [tmp_path / '1', tmp_path / '2']
    settings = build_settings(method='random', max_boxes=4)
    make_images(images, 'abcd')
    for seed in (0, 1):
        for number, shard in enumerate(shards, 1):
            make_proposals(
                images,
                shard,
                settings=settings,
                shard=(number, 2),
                overwrite=True,
                num_workers=1,
            )
        assert merge_proposals(shards, tmp_path / 'merged').images == 4
        assert merge_proposals(shards, tmp_path / 'merged').kept == 4
        merged = ProposalStore.open(tmp_path / 'merged')
        for shard in map(ProposalStore.open, shards):
            for path in shard:
                assert (merged[path] == shard[path]).all(), (seed, path)
        # As many boxes on other images.
        make_images(images, 'abcd', size=(90, 70))


def test_the_look_at_deep_images_keeps_to_the_limit(tmp_path, monkeypatch):
    images, looked_at = tmp_path / 'images', []
    images.mkdir()
    for side in (40, 80):
        pixels = np.full((side, side), 51200, np.uint16)
        cv2.imwrite(str(images / f'{side}.png'), pixels)
    monkeypatch.setattr(
        'soco_mm.utils.depth.decode_deep', lambda data: looked_at.append(len(data)) or 1
    )
    monkeypatch.setattr('soco_mm.utils.depth.count_levels', lambda image: 1)
    settings = build_settings(method='random', max_pixels=50 * 50)
    make_proposals(images, tmp_path / 'store', settings=settings, num_workers=1)
    assert looked_at == [(images / '40.png').stat().st_size]
