from dataclasses import replace
from pathlib import Path

import small

from soco_mm.detectors.data import read_data
from soco_mm.detectors.finetune_config import finetune_config
from soco_mm.detectors.trial import try_finetuning


def test_a_run_in_a_folder_above_is_tried_out(demo_images, tmp_path, monkeypatch):
    """Its annotations are not written yet, whatever their path looks like."""
    (tmp_path / 'here').mkdir()
    monkeypatch.chdir(tmp_path / 'here')
    file = demo_images.parent / 'instances.json'
    data = read_data(file, demo_images, file, masks=False)
    train, val = (
        replace(each, path=Path(f'../run/{name}.json')) for name, each in data.items()
    )
    cfg = finetune_config(Path(small.MASK_RCNN), train, val, 1, 2, num_workers=0)
    runner = try_finetuning(cfg, train, val)
    assert len(runner.train_dataloader.dataset) == 4  # two batches
    assert not (tmp_path / 'run').exists()
