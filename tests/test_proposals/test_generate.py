import glob
import os
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from soco_mm.apis.proposals import describe_proposals, make_proposals
from soco_mm.proposals import (PRESETS, ProposalStore, SelectiveSearch,
                               generate_proposals)
from soco_mm.registry import PROPOSALS
from soco_mm.utils import UsageError, read_image


def test_selective_search_finds_a_plain_object_whatever_was_done_before(
        demo_images):
    image = np.zeros((150, 200, 3), np.uint8)
    image[40:100, 60:140] = (200, 40, 40)
    search = SelectiveSearch()
    boxes = search(image)
    assert np.abs(boxes - [60, 40, 140, 100]).max(1).min() <= 2
    search(read_image(demo_images / 'coffee.jpg'))
    np.testing.assert_array_equal(search(image), boxes)


def test_large_images_are_reduced_and_boxes_are_in_their_own_pixels():
    image = np.zeros((1500, 2000, 3), np.uint8)
    image[400:1000, 600:1400] = (200, 40, 40)
    boxes = SelectiveSearch(max_side=200)(image)
    assert np.abs(boxes - [600, 400, 1400, 1000]).max(1).min() <= 20


# Registered where worker processes find it by its import path.
CRASHING = """
import os
import numpy as np
from soco_mm.registry import PROPOSALS

@PROPOSALS.register_module(force=True)
class CrashingGenerator:
    def __call__(self, image):
        if image.shape[:2] == (300, 451):  # chelsea.jpg
            os.abort()
        return np.float32([[0, 0, image.shape[1] / 2, image.shape[0] / 2]])
"""


def test_a_crash_of_native_code_costs_its_image_alone(
        demo_images, tmp_path, monkeypatch):
    (tmp_path / 'crashing_generator.py').write_text(CRASHING)
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    generator = dict(type='CrashingGenerator')
    monkeypatch.setattr(PROPOSALS, '_locations', ['crashing_generator'])
    (tmp_path / 'sitecustomize.py').write_text('import crashing_generator\n')
    paths = sorted(os.listdir(demo_images))
    results = {
        r.path: r
        for r in generate_proposals(demo_images, paths, generator,
                                    PRESETS['paper']['filter'], 2)
    }
    assert sorted(results) == paths
    crashed = results.pop('chelsea.jpg')
    assert crashed.failure == 'the generator crashed'
    assert crashed.boxes.tolist() == [[0, 0, 451, 300]]
    assert all(r.failure is None and len(r.boxes) == 1
               for r in results.values())


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
    from PIL import Image
    Image.fromarray(pixels).convert('CMYK').save(folder / 'cmyk.jpg')
    exif = Image.Exif()
    exif[0x112] = 6  # turned by 90 degrees
    Image.fromarray(pixels).save(folder / 'rotated.jpg', exif=exif)
    write('truncated.jpg', pixels)
    data = (folder / 'truncated.jpg').read_bytes()
    (folder / 'truncated.jpg').write_bytes(data[:len(data) // 2])
    (folder / 'empty.jpg').write_bytes(b'')
    (folder / 'text.jpg').write_text('not an image')
    (folder / 'notes.txt').write_text('left alone')
    (folder / '.hidden.jpg').write_bytes(b'left alone')
    return folder


def test_bad_images_are_skipped_and_counted_and_odd_ones_work(
        bad_folder, tmp_path):
    summary = make_proposals(bad_folder, tmp_path / 'store', num_workers=2)
    store = ProposalStore.open(tmp_path / 'store')
    assert list(store) == [
        'a/same.png', 'b/same.png', 'cmyk.jpg', 'deep.png', 'grey.png',
        'name with spaces/ünïcödé 猫.jpg', 'rotated.jpg'
    ]
    index = store.index('rotated.jpg')
    assert store._arrays['sizes'][index].tolist() == [100, 150]
    assert read_image(bad_folder / 'rotated.jpg').shape == (150, 100, 3)
    assert summary['skipped'] == summary['failures'] == 4
    failures = (tmp_path / 'store/failures.jsonl').read_text()
    for name, reason in (('truncated.jpg', 'damaged'), ('empty.jpg', 'empty'),
                         ('text.jpg', 'not an image'),
                         ('one pixel.png', 'too small (1x1')):
        line, = (line for line in failures.splitlines() if name in line)
        assert reason in line
    assert '4 images had to be skipped' in describe_proposals(summary)


def children(pid):
    """Processes below one, by /proc."""
    found = []
    for task in glob.glob(f'/proc/{pid}/task/*/children'):
        for child in open(task).read().split():
            found += [int(child), *children(child)]
    return found


def test_a_kill_leaves_no_process_and_no_file(demo_images, tmp_path):
    process = subprocess.Popen([
        sys.executable, '-m', 'soco_mm.cli', 'proposals',
        str(demo_images), '--out',
        str(tmp_path / 'out')
    ])
    deadline = time.time() + 60
    while len(below := children(process.pid)) < 3:
        assert process.poll() is None and time.time() < deadline
        time.sleep(.01)
    time.sleep(1)
    process.kill()
    process.wait()
    while any(os.path.exists(f'/proc/{pid}/fd/0') for pid in below):
        assert time.time() < deadline
        time.sleep(.1)
    assert list(tmp_path.iterdir()) == []


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
    assert r'bad\udce9.jpg' in describe_proposals(summary)


def test_result_does_not_depend_on_the_number_of_workers(
        demo_images, tmp_path):
    for workers in (1, 2):
        make_proposals(
            demo_images, tmp_path / str(workers), num_workers=workers)
    for name in ('boxes', 'offsets', 'paths', 'status'):
        assert (tmp_path / f'1/{name}.npy').read_bytes() == (
            tmp_path / f'2/{name}.npy').read_bytes()


def test_folders_that_cannot_serve_are_refused(demo_images, tmp_path):
    with pytest.raises(UsageError, match='no folder'):
        make_proposals(tmp_path / 'none', tmp_path / 'out')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(UsageError, match='no image in'):
        make_proposals(tmp_path / 'empty', tmp_path / 'out')
    (tmp_path / 'file').write_text('')
    with pytest.raises(UsageError, match='holds no|does not hold'):
        make_proposals(demo_images, tmp_path / 'file')
    with pytest.raises(UsageError, match='cannot be made'):
        make_proposals(demo_images, tmp_path / 'file/out')
    assert not (tmp_path / 'out').exists()
