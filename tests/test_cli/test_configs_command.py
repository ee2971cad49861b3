import re

import pytest

from soco_mm.cli import configs, main
from soco_mm.cli.common import read_value
from soco_mm.planning.recipes import list_recipes, trace_config


def printed(capsys, *arguments):
    main(['configs', *arguments])
    return capsys.readouterr().out


def test_recipes_are_one_line_each_in_a_pipe(capsys):
    main(['configs'])
    found = capsys.readouterr()
    assert 'Memory and step time: 8 images' in found.err
    lines = found.out.splitlines()
    recipes = list_recipes()
    assert re.split('  +', lines[0]) == ['name', *configs.COLUMNS, 'for']
    assert len(lines) == 1 + len(recipes)
    for line, recipe in zip(lines[1:], recipes):
        cells = re.split('  +', line)
        assert len(cells) == 7
        assert cells[0] == recipe.name and cells[-1] == recipe.purpose
        length = str(recipe.epochs) if recipe.epochs else f'{recipe.steps} steps'
        assert cells[2:4] == [length, str(recipe.batch_size)]
        assert (cells[4] == '-') == (recipe.memory_gib is None)


def test_values_of_a_config_can_be_given_to_cfg_options(capsys):
    lines = printed(capsys, 'soco_r18_fpn_quick').splitlines()
    settings = trace_config('soco_r18_fpn_quick')
    assert len(lines) == len(settings)
    for line, setting in zip(lines, settings):
        option, _, source = line.partition('  # ')
        key, _, text = option.partition('=')
        assert key == setting.key and read_value(text) == setting.value
        assert source.startswith('configs/')


def test_a_key_chooses_the_values_below_it(capsys):
    assert printed(capsys, 'soco_r50_fpn_400e', 'train_cfg') == (
        'train_cfg.type=EpochBasedTrainLoop  '
        '# configs/_base_/schedules/lars_100e.py\n'
        'train_cfg.max_epochs=400  # configs/_base_/schedules/lars_400e.py\n'
    )


def test_a_terminal_gets_tables_with_the_same_figures(capsys, monkeypatch):
    monkeypatch.setenv('COLUMNS', '100')
    recipes = list_recipes()
    configs.show_recipes(recipes, 'the note')
    table = capsys.readouterr().out
    assert max(map(len, table.splitlines())) <= 100
    for recipe in recipes:
        (line,) = [
            each for each in table.splitlines() if each.startswith(f'{recipe.name} ')
        ]
        cells = re.split('  +', line.strip())
        assert cells == [recipe.name, *configs.cells(recipe)]
    assert 'the note' in table
    configs.show_settings(trace_config('soco_r50_fpn_100e', 'train_cfg'))
    assert '100' in capsys.readouterr().out


def test_wrong_names_are_answered_with_those_that_were_meant(capsys):
    for arguments, meant in (
        (['soco_r50_fpn_100'], 'soco_r50_fpn_100e'),
        (['soco_r50_fpn_100e', 'model.nekc'], 'model.neck'),
    ):
        with pytest.raises(SystemExit) as stopped:
            main(['configs', *arguments])
        assert stopped.value.code == 2
        assert f'Did you mean {meant}?' in capsys.readouterr().err
