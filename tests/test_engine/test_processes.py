"""Decisions that processes make together, in two of them (gloo)."""

import re
from contextlib import nullcontext
from functools import partial

import pytest
from two_processes import in_two_processes

from soco_mm.engine.processes import (
    any_process,
    exclusive_to_training,
    first_of,
    together,
)
from soco_mm.engine.training import choose_checkpoint
from soco_mm.utils import SoCoError, UsageError, exclusive


def make(folder, epoch, content=b'weights'):
    path = folder / f'checkpoints/epoch_{epoch}.pth'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return str(path)


def choose(rank, folder, resume=True):
    """Each process has a work dir of its own."""
    found = choose_checkpoint(folder / ('here', 'there')[rank], resume)
    return found and found.name


def reduce(rank, folder):
    return any_process(rank == 1), first_of(5.0 - rank)


def raise_on_one(rank, folder):

    def function():
        if rank:
            raise SoCoError('One image is damaged.')

    return together(function)


def enter(rank, folder):
    """Both processes hold a folder, which no other run gets meanwhile."""
    with exclusive_to_training(folder, 'a run'):
        assert (folder / '.lock').exists()
        with pytest.raises(UsageError), exclusive(folder, 'a run', inside=True):
            pass
        together(lambda: None)
    return together(lambda: 'entered')


def enter_after_another(rank, folder):
    held = exclusive(folder, 'a run', inside=True) if rank else nullcontext()
    with held:
        together(lambda: None)
        with exclusive_to_training(folder, 'a run'):
            return 'entered'


def lose(rank, folder):
    """Train with a loss that is NaN on one of the processes."""
    from test_resume import build

    runner, *_ = build(folder / str(rank), poisoned=14 if rank else None)
    runner.train()


# What is called, and the epochs of the checkpoints here and there.
CASES = dict(
    same=(choose, [1, 2], [2]),
    none=(choose, [], []),
    missing=(choose, [2], []),
    older=(choose, [1, 2], [1]),
    other=(choose, [2], [-2]),
    swapped=(choose, [], [2]),
    not_resumed=(lambda rank, folder: choose(rank, folder, False), [2], []),
    reduced=(reduce, [], []),
    raised=(raise_on_one, [], []),
    entered=(enter, [], []),
    held=(enter_after_another, [], []),
    nan=(lose, [], []),
)


def in_process(rank, folder):
    found = {}
    for name, (function, *_) in CASES.items():
        try:
            found[name] = function(rank, folder / name)
        except SoCoError as error:
            found[name] = (type(error).__name__, str(error), error.silent)
    return found


@pytest.fixture(scope='module')
def found(tmp_path_factory):
    """What each case returned or raised on the two processes."""
    folder = tmp_path_factory.mktemp('processes')
    for name, (_, here, there) in CASES.items():
        for epoch in here:
            make(folder / name / 'here', epoch)
        for epoch in there:
            make(
                folder / name / 'there',
                abs(epoch),
                b'weights' if epoch > 0 else b'others',
            )
    both = in_two_processes(partial(in_process, folder=folder), folder)
    return {name: tuple(each[name] for each in both) for name in CASES}


def test_a_checkpoint_that_all_have_is_resumed(found):
    assert found['same'] == ('epoch_2.pth', 'epoch_2.pth')
    assert found['none'] == (None, None)


@pytest.mark.parametrize(
    'case, words',
    [
        ('missing', 'epoch_2.pth, .* does not exist on process 1'),
        ('older', 'epoch_2.pth, .* does not exist on process 1'),
        ('other', 'differs from that of process 0'),
        ('swapped', 'epoch_2.pth on process 1 .* process 0 sees no checkpoint'),
    ],
)
def test_a_node_without_the_checkpoint_stops_all(found, case, words):
    for kind, text, _ in found[case]:
        assert kind == UsageError.__name__
        assert re.search(words, text), text
    # Printed by the one that cannot see it.
    assert [silent for *_, silent in found[case]] == [True, False]


def test_all_processes_of_one_training_write_to_its_folder_and_no_others(found):
    assert found['entered'] == ('entered', 'entered')
    for kind, text, _ in found['held']:
        assert kind == UsageError.__name__
        assert 'Another process is making a run' in text


def test_without_resume_all_refuse_what_one_sees(found):
    for kind, text, _ in found['not_resumed']:
        assert kind == UsageError.__name__ and '--resume' in text


def test_flags_and_numbers_are_those_of_all(found):
    assert found['reduced'] == ((True, 4.0), (True, 4.0))


def test_what_one_raises_stops_all_and_is_said_once(found):
    assert found['raised'] == (
        ('SoCoError', 'One image is damaged.', True),
        ('SoCoError', 'One image is damaged.', False),
    )


def test_a_loss_that_is_nan_on_one_process_stops_all(found):
    for kind, text, _ in found['nan']:
        assert kind == 'SoCoError'
        assert 'epoch 3, iteration 2 of 6' in text
    assert 'on another process' in found['nan'][0][1]
    assert 'loss nan' in found['nan'][1][1]
