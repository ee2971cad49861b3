import pytest

import soco_mm.apis
from soco_mm.cli import build_parser


@pytest.mark.parametrize('command', ['pretrain', 'finetune'])
def test_options_of_the_log_reach_the_job(command, monkeypatch):
    class Called(Exception):
        pass

    def job(*args, **kwargs):
        raise Called({name: kwargs[name] for name in ('tensorboard', 'verbose')})

    monkeypatch.setattr(soco_mm.apis, command, job)
    parser = build_parser()
    for flags, wanted in (
        ([], (False, False)),
        (['--tensorboard'], (True, False)),
        (['--verbose'], (False, True)),
        (['-v'], (False, True)),
    ):
        args = parser.parse_args([command, 'IMAGES', '--out', 'RUN', *flags])
        with pytest.raises(Called) as called:
            args.function(args)
        assert tuple(called.value.args[0].values()) == wanted
