"""The jobs as a Python API."""

import inspect
import subprocess
import sys
from dataclasses import is_dataclass

import pytest

import soco_mm
from soco_mm import apis

JOBS = [name for name in apis.__all__ if not name.endswith('Result')]


def test_every_job_is_found_under_the_package_itself():
    listed = set(soco_mm.__all__) - {'__version__', 'log_to_console'}
    assert listed == set(JOBS) and listed <= set(dir(soco_mm))
    for name in JOBS:
        assert getattr(soco_mm, name) is getattr(apis, name)
    with pytest.raises(AttributeError, match="no attribute 'pretrian'"):
        _ = soco_mm.pretrian


@pytest.mark.parametrize('name', JOBS)
def test_jobs_are_keyword_only_after_the_two_main_arguments(name):
    function = getattr(apis, name)
    parameters = inspect.signature(function).parameters.values()
    positional = [
        each for each in parameters if each.kind == each.POSITIONAL_OR_KEYWORD
    ]
    assert len(positional) <= 2
    assert all(each.kind != each.VAR_KEYWORD for each in parameters)
    # In the order of the signature, each of them is explained.
    documented = function.__doc__.split('Args:')[1].split('Returns:')[0]
    places = [documented.index(f'\n        {each.name} (') for each in parameters]
    assert places == sorted(places)


@pytest.mark.parametrize('name', sorted(set(JOBS) - {'check_installation'}))
def test_jobs_return_typed_results(name):
    function = inspect.unwrap(getattr(apis, name))
    module = sys.modules[function.__module__]
    result = inspect.signature(function).return_annotation
    result = getattr(module, result) if isinstance(result, str) else result
    assert is_dataclass(result) or name in ('browse', 'import_released')


def test_the_package_is_imported_without_its_libraries():
    code = (
        'import sys, soco_mm; print([each for each in ("torch", "mmengine", "cv2", '
        '"numpy") if each in sys.modules])'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.stdout.strip() == '[]', done.stderr
