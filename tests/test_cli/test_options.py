"""The options of all commands: a change of them is a decision, not an accident."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
import test_option_effects as effects

from soco_mm.cli import build_parser

ROOT = Path(__file__).parents[2]
EFFECTS = 'test_cli/test_option_effects.py::test_'
MAKE = f'{EFFECTS}an_option_of_proposals_changes_boxes_or_images'
PRETRAIN = f'{EFFECTS}an_option_of_pretrain_changes_the_run'
FINETUNE = f'{EFFECTS}an_option_of_finetune_changes_the_training'
PROBE = f'{EFFECTS}an_option_of_probe_changes_what_is_evaluated'
PLAN = f'{EFFECTS}an_option_of_plan_changes_what_is_planned'
BROWSE = f'{EFFECTS}an_option_of_browse_changes_what_is_drawn'
LOGGING = 'test_cli/test_logging_options.py::test_options_of_the_log_reach_the_job'
INTEGRATION = 'test_integration.py::test_'
MAKING = 'test_proposals/test_make.py::test_'
BOX_FILES = 'test_proposals/test_box_files.py::test_'
FORMATS = 'test_proposals/test_formats.py::test_'
DETECTORS = 'test_detectors/test_any_detector.py::test_'
HANDED_OVER = 'test_detectors/test_handed_over.py::test_'
# Command -> option -> a test that the option changes something.
OPTIONS = {
    '': {'--version': 'test_cli/test_options.py::test_the_version_is_the_packages'},
    'browse': {
        '--cfg-options': BROWSE,
        '--epoch': BROWSE,
        '--num-images': BROWSE,
        '--out': BROWSE,
        '--start': BROWSE,
    },
    'configs': {},
    'doctor': {'--quiet': 'test_installation.py::test_it_runs_where_nothing_else_does'},
    'export': {
        '--adapt': f'{DETECTORS}other_pixels_are_refused_or_replaced',
        '--backbone-only': f'{DETECTORS}a_backbone_alone_goes_where_there_is_another_neck',
        '--detector': f'{DETECTORS}an_fpn_gets_the_weights_of_its_own_levels',
        '--format': f'{INTEGRATION}the_checkpoint_of_a_run_is_exported_for_other_libraries',
        '--out': f'{INTEGRATION}the_checkpoint_of_a_run_is_exported_for_other_libraries',
        '--parts': f'{HANDED_OVER}parts_are_chosen_on_the_command_line',
    },
    'finetune': {
        '--batch-size': FINETUNE,
        '--cfg-options': FINETUNE,
        '--classes': FINETUNE,
        '--data': FINETUNE,
        '--epochs': FINETUNE,
        '--images': FINETUNE,
        '--out': f'{INTEGRATION}finetune_trains_what_a_run_exported',
        '--overwrite': 'test_job.py::test_overwrite_deletes_all_of_the_earlier_run',
        '--resume': 'test_apis/test_finetune.py::test_a_stopped_training_goes_on',
        '--scale': FINETUNE,
        '--scratch': FINETUNE,
        '--seed': FINETUNE,
        '--val': FINETUNE,
        '--tensorboard': LOGGING,
        '--val-images': FINETUNE,
        '--verbose': LOGGING,
        '--workers': FINETUNE,
    },
    'import': {
        '--out': 'test_checkpoint/test_released.py::'
        'test_an_import_says_its_model_and_is_exported_without_a_config'
    },
    'pretrain': {
        '--accumulate': PRETRAIN,
        '--adapt': PRETRAIN,
        '--ann': f'{EFFECTS}pretrain_fits_its_proposals_to_annotations',
        '--auto-scale': PRETRAIN,
        '--backbone-only': PRETRAIN,
        '--batch-size': PRETRAIN,
        '--cfg-options': PRETRAIN,
        '--checkpoint-every': PRETRAIN,
        '--config': PRETRAIN,
        '--detector': PRETRAIN,
        '--epochs': PRETRAIN,
        '--init': PRETRAIN,
        '--init-licence': PRETRAIN,
        '--init-partial': PRETRAIN,
        '--out': f'{INTEGRATION}run_holds_everything_and_names_what_to_use_next',
        '--overwrite': 'test_job.py::test_overwrite_deletes_all_of_the_earlier_run',
        '--parts': f'{HANDED_OVER}a_pretraining_hands_over_what_its_recipe_or_user_says',
        '--precision': PRETRAIN,
        '--preset': PRETRAIN,
        '--proposals': f'{EFFECTS}workers_of_pretrain_make_proposals_and_load_images',
        '--resume': f'{INTEGRATION}killed_and_resumed_run_ends_like_an_undisturbed_one',
        '--root': 'test_apis/test_pretrain_images.py::'
        'test_lists_and_coco_files_are_pretrained_on',
        '--stretch': PRETRAIN,
        '--tensorboard': LOGGING,
        '--train': 'test_engine/test_short_training.py::'
        'test_parts_to_train_are_chosen_on_the_command_line',
        '--verbose': LOGGING,
        '--workers': f'{EFFECTS}workers_of_pretrain_make_proposals_and_load_images',
    },
    'plan': {
        '--batch-size': PLAN,
        '--cfg-options': PLAN,
        '--detector': PLAN,
        '--gpus': PLAN,
        '--images': PLAN,
        '--json': 'test_planning/test_plan.py::'
        'test_the_command_prints_a_table_or_all_numbers',
        '--memory': PLAN,
    },
    'probe': {
        '--batch-size': PROBE,
        '--config': 'test_apis/test_probe.py::test_checkpoint_tells_its_backbone',
        '--epochs': PROBE,
        '--images': PROBE,
        '--k': PROBE,
        '--lr': PROBE,
        '--method': PROBE,
        '--out': PROBE,
        '--resume': 'test_apis/test_probe.py::'
        'test_a_linear_probe_goes_on_from_its_checkpoint',
        '--train': PROBE,
        '--val': PROBE,
        '--val-images': PROBE,
        '--workers': PROBE,
    },
    'proposals export': {'--out': f'{BOX_FILES}commands_say_what_became_of_the_boxes'},
    'proposals import': {
        '--ann': f'{FORMATS}coco_results_are_named_by_the_annotations',
        '--images': f'{BOX_FILES}commands_say_what_became_of_the_boxes',
        '--max-aspect': f'{BOX_FILES}paper_filter_is_the_default_and_can_be_changed',
        '--min-side': f'{BOX_FILES}paper_filter_is_the_default_and_can_be_changed',
        '--no-filter': f'{BOX_FILES}paper_filter_is_the_default_and_can_be_changed',
        '--out': f'{BOX_FILES}commands_say_what_became_of_the_boxes',
        '--overwrite': f'{BOX_FILES}what_is_there_is_not_replaced_unasked',
        '--score-thr': f'{FORMATS}scores_below_the_threshold_are_left_out',
        '--size-range': f'{BOX_FILES}paper_filter_is_the_default_and_can_be_changed',
    },
    'proposals make': {
        '--checkpoint': 'test_detectors/test_rpn_proposals.py::'
        'test_the_command_makes_the_same_boxes_with_any_workers',
        '--ann': f'{EFFECTS}an_annotated_object_changes_which_boxes_are_kept',
        '--color-space': MAKE,
        '--edge-model': 'test_proposals/test_edge_boxes.py::'
        'test_edges_are_those_of_the_edge_model',
        '--launcher': f'{MAKING}launched_processes_make_the_same_store',
        '--max-aspect': MAKE,
        '--max-boxes': MAKE,
        '--max-pixels': MAKE,
        '--max-side': MAKE,
        '--method': MAKE,
        '--min-side': MAKE,
        '--min-size': MAKE,
        '--out': MAKE,
        '--overwrite': f'{MAKING}a_store_of_other_settings_is_replaced_on_request_alone',
        '--preset': MAKE,
        '--retry-failed': f'{MAKING}failed_images_are_tried_again_on_request',
        '--root': f'{EFFECTS}paths_in_a_file_are_relative_to_root',
        '--scale': MAKE,
        '--seed': f'{EFFECTS}the_seed_of_proposals_chooses_other_boxes',
        '--shard': MAKE,
        '--sigma': MAKE,
        '--similarities': MAKE,
        '--size-range': MAKE,
        '--stretch': MAKE,
        '--timeout': f'{EFFECTS}the_time_limit_of_proposals_is_kept_with_them',
        '--workers': f'{MAKING}workers_killed_at_any_time_cost_no_more_than_their_image',
    },
    'proposals merge': {
        '--out': f'{MAKING}result_does_not_depend_on_workers_and_shards',
        '--overwrite': f'{EFFECTS}merged_proposals_are_replaced_on_request',
    },
    'proposals report': {
        '--ann': 'test_apis/test_report_proposals.py::'
        'test_command_prints_figures_and_advice',
        '--images': 'test_apis/test_report_proposals.py::'
        'test_images_may_have_moved_changed_or_vanished',
        '--out': 'test_apis/test_report_proposals.py::'
        'test_command_prints_figures_and_advice',
    },
    'replay': {},
    'report': {'--out': 'test_apis/test_report_run.py::test_two_runs_are_compared'},
}


def parsers():
    parser = build_parser()
    return {'': parser, **dict(parser.leaves())}


def test_the_options_are_these():
    """Change the table above with an option, its documentation and its test."""
    found = {
        name: sorted(each for each in parser.names if each != '--help')
        for name, parser in parsers().items()
    }
    assert found == {name: sorted(options) for name, options in OPTIONS.items()}


@pytest.mark.parametrize('command', [name for name in OPTIONS if name])
def test_every_command_and_option_is_in_the_documentation(command):
    pages = [ROOT / 'README.md', *(ROOT / 'docs').rglob('*.md')]
    text = '\n'.join(page.read_text() for page in pages)
    assert f'soco-mm {command.removesuffix(" make")}' in text
    for option in OPTIONS[command]:
        assert re.search(rf'(?<![\w-]){option}(?![\w-])', text), option


def test_the_config_key_in_the_help_is_one_that_the_command_takes():
    """It is the one that the tests of the table set."""
    tables = dict(
        pretrain=effects.PRETRAIN,
        finetune=effects.FINETUNE,
        browse=effects.BROWSE,
        plan=effects.PLAN,
    )
    for command, parser in parsers().items():
        for action in parser._actions:
            if action.dest == 'cfg_options':
                (example,) = tables.pop(command)['--cfg-options']
                assert action.help.endswith(f'such as {example}')
    assert not tables


@cache
def functions_of(path):
    """Names of the test functions in a file."""
    tree = ast.parse((ROOT / 'tests' / path).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize('command', OPTIONS)
def test_every_option_has_a_test_that_it_changes_something(command):
    tables = {
        MAKE: [*effects.MAKE, '--out'],
        PRETRAIN: [
            *effects.PRETRAIN,
            *effects.OF_A_DETECTOR,
            '--init',
            '--init-partial',
            '--init-licence',
        ],
        FINETUNE: [*effects.FINETUNE, *effects.DATA],
        PROBE: [*effects.PROBE, *effects.LINEAR, '--method', '--train', '--val'],
        BROWSE: effects.BROWSE,
        PLAN: effects.PLAN,
    }
    for option, test in OPTIONS[command].items():
        path, _, name = test.partition('::')
        assert name in functions_of(path), test
        assert option in tables.get(test, [option]), (test, option)


def test_the_version_is_the_packages(capsys):
    from soco_mm import __version__

    with pytest.raises(SystemExit) as stopped:
        build_parser().parse_args(['--version'])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f'soco_mm {__version__}\n'
