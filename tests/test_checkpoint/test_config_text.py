import pytest

from soco_mm.checkpoint import read_assignment
from soco_mm.engine.config import load_config


@pytest.mark.parametrize(
    'name', ['soco_r50_c4_100e', 'soco_swin-t_fpn_100e', 'soco_convnext-t_fpn_100e']
)
def test_model_is_read_from_the_text_of_a_config(name):
    cfg = load_config(name)
    assert read_assignment(cfg.pretty_text, 'model') == cfg.model.to_dict()
    assert read_assignment(cfg.pretty_text, 'modle') is None


def test_text_of_a_config_is_not_run(tmp_path):
    marker = tmp_path / 'run'
    for text in (
        f'open({str(marker)!r}, "w")',
        f'model = dict(a=open({str(marker)!r}, "w"))',
        f'model = [dict(), open({str(marker)!r}, "w")]',
        'model = dict(**x)',
        'model = (',
        '',
    ):
        assert read_assignment(text, 'model') is None
    assert not marker.exists()
