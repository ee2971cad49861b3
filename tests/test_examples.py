"""The examples in docstrings."""

import doctest
import importlib.util
import pkgutil

import pytest

import soco_mm

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(soco_mm.__path__, 'soco_mm.')
    if not module.name.endswith('__main__')
)


def with_examples():
    for name in MODULES:
        path = importlib.util.find_spec(name).origin
        with open(path, encoding='utf-8') as stream:
            if '>>> ' in stream.read():
                yield name


@pytest.mark.parametrize('name', list(with_examples()))
def test_examples_give_what_they_say(name):
    found = doctest.testmod(
        importlib.import_module(name),
        optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS,
    )
    assert found.attempted and not found.failed
