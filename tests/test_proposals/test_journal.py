import numpy as np
import pytest

from soco_mm.proposals import Journal, Proposals
from soco_mm.utils import UsageError

SETTINGS = dict(generator=dict(type='SelectiveSearch', scale=500), seed=0)
RESULTS = [
    Proposals('a b.jpg', np.float32([[1, 2, 3.3, 4]] * 3), (20, 10), 0, None, 0.25),
    Proposals('\udce9.jpg', np.zeros((0, 4), np.float32), (0, 0), 3, 'is bad'),
    Proposals('猫/c.jpg', np.float32([[0, 0, 7, 7]]), (7, 7), 1, None, 0.5),
]


def same(journal, results):
    assert len(journal) == len(results)
    for expected in results:
        result = journal[expected.path]
        np.testing.assert_array_equal(result.boxes, expected.boxes)
        assert result._replace(boxes=0) == expected._replace(boxes=0)


@pytest.fixture
def folder(tmp_path):
    journal = Journal(tmp_path / 'j', SETTINGS)
    for result in RESULTS:
        journal.append(result)
        same(journal, RESULTS[: len(journal)])
    journal.close()
    return tmp_path / 'j'


def test_results_are_there_again(folder):
    journal = Journal(folder, SETTINGS)
    same(journal, RESULTS)
    assert '猫/c.jpg' in journal and 'c.jpg' not in journal
    assert journal.failed == {'\udce9.jpg'}
    assert journal.seconds == {'a b.jpg': 0.25, '猫/c.jpg': 0.5}


def test_a_record_cut_at_any_byte_is_dropped_and_written_again(folder):
    records = folder / 'records.bin'
    whole = records.read_bytes()
    ends = []
    for cut in range(len(whole) + 1):
        records.write_bytes(whole[:cut])
        journal = Journal(folder, SETTINGS)
        number = len(journal)
        ends.append(number)
        same(journal, RESULTS[:number])
        for result in RESULTS[number:]:
            journal.append(result)
        journal.close()
        assert records.read_bytes() == whole
    assert ends == sorted(ends) and set(ends) == {0, 1, 2, 3}
    assert ends.count(3) == 1


def test_a_changed_byte_ends_what_is_trusted(folder):
    records = folder / 'records.bin'
    data = bytearray(records.read_bytes())
    data[-3] ^= 1
    records.write_bytes(data)
    same(Journal(folder, SETTINGS), RESULTS[:2])


def test_other_settings_are_refused_by_name(folder):
    other = dict(SETTINGS, generator=dict(SETTINGS['generator'], scale=300))
    with pytest.raises(UsageError, match='generator.scale 500, not 300'):
        Journal(folder, other)
    same(Journal(folder, SETTINGS), RESULTS)


@pytest.mark.parametrize('tail', [bytes(40), bytes([255]) * 40])
def test_a_tail_of_zeros_or_ones_is_dropped(folder, tail):
    records = folder / 'records.bin'
    whole = records.read_bytes()
    records.write_bytes(whole + tail)
    journal = Journal(folder, SETTINGS)
    same(journal, RESULTS)
    journal.close()
    assert records.read_bytes() == whole


def test_the_later_of_two_records_counts(folder):
    journal = Journal(folder, SETTINGS)
    again = RESULTS[0]._replace(path='\udce9.jpg')
    journal.append(again)
    same(journal, [RESULTS[0], again, RESULTS[2]])
    assert not journal.failed
    journal.close()
    same(Journal(folder, SETTINGS), [RESULTS[0], again, RESULTS[2]])


def test_a_run_that_replaces_goes_on_with_its_like_alone(folder):
    journal = Journal(folder, SETTINGS, replaces=True)
    assert len(journal) == 0 and journal.replaces
    journal.append(RESULTS[0])
    journal.close()
    for replaces in (True, False):
        journal = Journal(folder, SETTINGS, replaces)
        same(journal, RESULTS[:1])
        assert journal.replaces
        journal.close()
    # Results of other settings, or that cannot be read, are replaced too.
    for content in (None, '{'):
        if content:
            (folder / 'settings.json').write_text(content)
        journal = Journal(folder, dict(SETTINGS, seed=1), replaces=True)
        assert len(journal) == 0
        journal.append(RESULTS[0])
    journal.delete()
    assert not folder.exists()
