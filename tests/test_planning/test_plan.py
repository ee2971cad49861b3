"""Plans of recipes: R50-FPN against figures made by hand, and the command."""

import json
import math

import commands
import pytest
import small
import torch

import soco_mm
from soco_mm.engine.config import CONFIG_ROOT, load_config
from soco_mm.planning import make_plan
from soco_mm.planning.counting import Operation
from soco_mm.planning.plan import epochs_in
from soco_mm.planning.report import describe_plan
from soco_mm.planning.roofline import GPU, seconds_of
from soco_mm.planning.step import GpuAutocast
from soco_mm.proposals import ProposalStore
from soco_mm.utils import SoCoError, UsageError

MIB = 2**20


@pytest.fixture(scope='module')
def r50():
    return soco_mm.plan('soco_r50_fpn_100e', memory=24)


def test_memory_of_the_papers_model_is_that_of_a_hand_calculation(r50):
    """123 MiB an image; 15.7 GiB at 128 in the forward and backward pass."""
    held = r50.memory
    assert held.batch_size == 128
    assert held.per_image / MIB == pytest.approx(123, rel=0.05)
    static = held.weights + held.target + held.replay_copy + held.optimizer
    passes = held.peak - static
    assert passes / 1024 / MIB == pytest.approx(15.7, rel=0.03)
    saved = sum(held.activations.values())
    assert 0.8 * passes < saved < passes
    assert 160 <= r50.largest_batch <= 176


def test_operations_of_the_papers_model_are_those_of_its_layers(r50):
    """Multiply-adds an image: backbone 9.2 G, FPN and head 7.9 G."""
    flops = {part.name: part.flops / 2e9 for part in r50.parts}
    # Forwards, and twice as much backwards but for the images.
    assert flops['backbone'] == pytest.approx(3 * 9.2, rel=0.02)
    heads = flops['neck'] + flops['head'] + flops['projector']
    assert heads == pytest.approx(3 * 7.9, rel=0.03)
    assert flops['target'] == pytest.approx(9.2 + 7.9, rel=0.02)


@pytest.mark.parametrize(
    ('gpu', 'images', 'tolerance'),
    [('H100', 1156, 0.03), ('A100', 609, 0.07), ('V100', 224, 0.12)],
)
def test_times_of_the_papers_model_are_near_a_hand_calculation(
    r50, gpu, images, tolerance
):
    (found,) = [each for each in r50.times if each.name.startswith(gpu)]
    assert found.images_per_second == pytest.approx(images, rel=tolerance)
    assert found.seconds == pytest.approx(128 / found.images_per_second)
    seen = 100 * (1_281_167 // 128 * 128)  # whole steps
    assert found.days == pytest.approx(seen / found.images_per_second / 86400)


def test_an_operator_takes_the_longer_of_computing_and_moving():
    gpu = GPU('one', 1, half=100.0, single=10.0, bandwidth=50.0)
    computing = Operation('head', flops=600, bytes=50, half=True)
    moving = Operation('head', flops=0, bytes=200, half=True)
    single = Operation('head', flops=600, bytes=50, half=False)
    assert seconds_of([computing], gpu, (1, 1)) == 6
    assert seconds_of([moving], gpu, (1, 1)) == 4
    assert seconds_of([single], gpu, (1, 1)) == 60
    assert seconds_of([computing, moving], gpu, (0.5, 0.25)) == 12 + 16


@pytest.fixture
def narrow():
    cfg = load_config(small.SOCO)
    cfg.train_dataloader.batch_size = 16
    return cfg


def test_layer_norm_and_softmax_are_float32_in_mixed_precision_as_on_a_gpu():
    x = torch.rand(2, 3, 8)
    norm, linear = torch.nn.LayerNorm(8), torch.nn.Linear(8, 8)

    def types(mixed):
        with torch.autocast('cpu', torch.bfloat16, enabled=mixed), GpuAutocast():
            y = linear(x)
            return [each.dtype for each in (y, norm(y), y.softmax(-1), linear(norm(y)))]

    half, full = torch.bfloat16, torch.float32
    assert types(True) == [half, full, full, half]
    assert types(False) == [full] * 4


def test_gpus_share_the_images_and_accumulation_is_part_of_a_step(narrow):
    one = make_plan(narrow, images=1000)
    narrow.optim_wrapper.accumulative_counts = 2
    four = make_plan(narrow, gpus=4, images=1000)
    assert (one.scaling.batch, four.scaling.batch) == (16, 128)
    assert four.scaling.rate_factor == 128 / 16  # of the recipe's 16
    assert four.scaling.momentum == pytest.approx(0.99 ** (128 / 16))
    for ours, theirs in zip(four.times, one.times):
        assert ours.images_per_second == pytest.approx(
            4 * theirs.images_per_second, rel=0.05
        )
    # Gradients stay from one batch to the next, and are copied for the exchange.
    assert four.memory.peak - one.memory.peak == 2 * one.memory.gradients


def test_disk_is_what_a_checkpoint_holds(narrow, tmp_path):
    import torch

    from soco_mm.planning.memory import values
    from soco_mm.registry import MODELS, OPTIMIZERS

    model = MODELS.build(narrow.model)
    trained = [each for each in model.parameters() if each.requires_grad]
    optimizer = OPTIMIZERS.build(dict(narrow.optim_wrapper.optimizer, params=trained))
    for each in trained:
        each.grad = torch.zeros_like(each)
    optimizer.step()
    file = tmp_path / 'checkpoint.pth'
    torch.save(dict(a=model.state_dict(), b=optimizer.state_dict()), file)
    found = make_plan(narrow, images=100)
    assert found.checkpoint_bytes == pytest.approx(file.stat().st_size, rel=0.15)
    # Three are kept and one within an epoch, while one is written.
    assert found.checkpoints == 5
    assert len(values(model)) > 100


def test_images_and_loading_are_those_of_the_data_that_is_there(
    narrow, store, demo_images
):
    narrow.train_dataloader.dataset.update(
        data_root=str(demo_images), proposals=str(store)
    )
    found = make_plan(narrow)
    assert found.images == len(ProposalStore.open(store)) == 5
    assert found.loading_rate > 1
    for each in found.times:
        expected = each.images_per_second / found.loading_rate
        assert each.loader_cores == pytest.approx(expected)


def test_a_recipe_in_steps_has_as_many_epochs_as_they_take():
    cfg = load_config('short/soco_mobilenetv2_fpn_short')
    assert epochs_in(cfg, images=320, gpus=1) == 20  # 200 steps, ten an epoch
    cfg.optim_wrapper.accumulative_counts = 2
    assert epochs_in(cfg, images=320, gpus=2) == 100  # of two whole steps
    # An epoch has seven whole steps of 32 x 4 images.
    cfg.optim_wrapper.accumulative_counts = 4
    cfg.train_dataloader.batch_size = 32
    assert epochs_in(cfg, images=1000, gpus=1) == 29


def test_a_recipe_in_steps_takes_as_long_whatever_images_there_are(narrow):
    narrow.train_cfg = dict(type='StepTrainLoop', max_steps=300)
    narrow.optim_wrapper.accumulative_counts = 2
    seen = 300 * 2 * 16 * 4  # steps, accumulation, batch and GPUs
    for images in (1000, 1_000_000):
        found = make_plan(narrow, gpus=4, images=images)
        for each in found.times:
            assert each.days == pytest.approx(seen / each.images_per_second / 86400)
        assert '300 steps of 128 images; operators' in describe_plan(found)
    narrow.train_cfg = dict(max_epochs=2)
    found = make_plan(narrow, gpus=4, images=1000)
    assert '2 epochs of 1,000 images; operators' in describe_plan(found)


def test_the_layers_of_an_rpn_are_counted_and_its_targets_are_said_not_to_be(narrow):
    narrow.model.neck.num_outs = 5
    narrow.model.rpn_head = small.RPN
    found = make_plan(narrow, images=100)
    views = narrow.train_dataloader.dataset.pipeline[1]['views']
    places = sum(
        math.ceil(view['size'] / stride) ** 2
        for view in views
        for stride in (4, 8, 16, 32, 64)
    )
    # A 3 x 3 convolution of 32 channels, then 3 scores and 12 sides of anchors.
    forward = 2 * places * 32 * (9 * 32 + 3 + 12)
    (rpn,) = [part for part in found.parts if part.name == 'RPN']
    assert rpn.flops == pytest.approx(3 * forward, rel=0.02)
    assert any('targets of rpn_head' in note for note in found.notes)
    assert narrow.model.rpn_head is not None


@pytest.mark.parametrize(
    'recipe',
    ['soco_r50_c4_100e', 'short/soco_r50_retinanet_short', 'soco_convnext-t_fpn_100e'],
)
def test_other_models_are_planned_too(recipe):
    options = small.RECIPES.get(recipe, {})
    found = soco_mm.plan(recipe, options=options, batch_size=16, images=1000)
    assert found.memory.per_image > 0
    assert found.times[0].images_per_second < found.times[-1].images_per_second


def test_what_depends_on_the_images_is_refused():
    with pytest.raises(SoCoError, match='depends on the images'):
        soco_mm.plan(detector='mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py')


@pytest.mark.parametrize(
    ('config', 'wrong'),
    [
        ('benchmarks/baselines/byol_r50_100e.py', 'the model is mmselfsup.BYOL'),
        ('benchmarks/linear_probe/resnet50_linear-100e_imagenet.py', 'LinearProbe'),
    ],
)
def test_what_is_no_pretraining_on_objects_is_refused(config, wrong):
    path = CONFIG_ROOT / config
    with pytest.raises(SoCoError, match=rf'{path.name} cannot be planned: .*{wrong}'):
        soco_mm.plan(path)


def test_a_pipeline_without_views_and_an_unknown_optimiser_are_refused(narrow):
    optimizer = narrow.optim_wrapper.optimizer
    narrow.optim_wrapper.optimizer = dict(type='AdamWW', lr=1.0)
    with pytest.raises(SoCoError, match='cannot be built into an optimiser.*AdamWW'):
        make_plan(narrow, images=100)
    narrow.optim_wrapper.optimizer = optimizer
    pipeline = narrow.train_dataloader.dataset.pipeline
    narrow.train_dataloader.dataset.pipeline = pipeline[:1]
    with pytest.raises(SoCoError, match='lacks SelectProposals or ConstructViews'):
        make_plan(narrow, images=100)


@pytest.mark.parametrize('planned', [4, 32])
def test_the_largest_batch_fits_by_a_count_of_its_own(planned):
    """In small batches the gradients are the peak, which then grows more slowly."""
    options = dict(batch_size=planned, images=1000)
    found = soco_mm.plan('short/soco_mobilenetv2_fpn_short', memory=8, **options)
    options['batch_size'] = found.largest_batch
    own = soco_mm.plan('short/soco_mobilenetv2_fpn_short', **options).memory.peak
    assert 0.93 * 0.9 * 8 < own / 2**30 <= 0.9 * 8


def test_checkpoints_of_every_tenth_epoch_are_a_tenth(narrow):
    narrow.default_hooks.checkpoint.update(max_keep_ckpts=-1, interval=10)
    assert make_plan(narrow, images=100).checkpoints == 11


def test_operators_of_mmcv_are_refused():
    with pytest.raises(SoCoError, match="DeformConv.* is MMCV's own operator"):
        soco_mm.plan(detector='mmdet::dcn/faster-rcnn_r50-dconv-c3-c5_fpn_1x_coco.py')


@pytest.mark.parametrize('name', ['batch_size', 'gpus', 'memory', 'images'])
def test_numbers_must_be_above_zero(name):
    with pytest.raises(UsageError, match='must be above 0, but is 0'):
        soco_mm.plan(**{name: 0})


def test_the_command_prints_a_table_or_all_numbers(capsys):
    command = ['plan', small.SOCO, '--images', 1000, '--batch-size', 8, '--memory', 8]
    done = commands.call(capsys, *command)
    assert done.returncode == 0, done.stderr
    for words in (
        '8 images on each of 1 GPU, float32',
        'backbone',
        'each image more',
        'weights for replay',
        'Largest batch in 8 GiB',
        'H100 SXM 80 GB',
        'A step has 8 images, the recipe is for 16: --accumulate 2, or --auto-scale',
        'Disk:',
    ):
        assert words in done.stdout
    done = commands.call(capsys, *command, '--json')
    numbers = json.loads(done.stdout)
    assert numbers['memory']['batch_size'] == 8
    assert numbers['largest_batch'] > 8
    assert numbers['times'][0]['name'] == 'V100 SXM2'
    assert sum(part['flops'] for part in numbers['parts']) > 0
