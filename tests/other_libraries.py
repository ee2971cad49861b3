"""Features that other libraries compute from exported weights.

Run in a process of its own::

    python tests/other_libraries.py JOBS OUT

``JOBS`` is a JSON list of [library, model, weights]; beside the weights lies
``WEIGHTS.inputs`` with ``image`` (1, 3, H, W) and ``rois`` (R, C, S, S).
``OUT`` gets a list with the features and the names that were not loaded.

torchvision's wheels are built for CUDA; with another PyTorch its operators
cannot be loaded. Models up to the R-CNN head need none of them, but its
import asks for two, which are declared here and never called. A program that
finds such a torchvision by chance breaks, so it lies in a folder of its own,
and so do timm and detectron2, of which the same is true:
``tests/install_other_libraries.sh`` fills the folder.
"""

import json
import pickle
import sys
import types
from pathlib import Path

import torch
from torch import nn

FOLDER = Path(sys.prefix) / 'test_libraries'


def import_torchvision():
    """Import torchvision, also where its operators cannot be loaded."""
    try:
        import torchvision
    except RuntimeError:
        for name in list(sys.modules):
            if name.partition('.')[0] == 'torchvision':
                del sys.modules[name]
        library = torch.library.Library('torchvision', 'FRAGMENT')
        for name in ('nms', 'qnms'):
            library.define(
                f'{name}(Tensor boxes, Tensor scores, float iou_threshold) -> Tensor'
            )
        import torchvision  # noqa: F401

        return library  # the declarations live as long as it does


def torchvision_features(model, path, image, rois):
    """Those of a Mask R-CNN of the second version, or a Faster R-CNN."""
    from torchvision.models import detection, resnet18
    from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
    from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead

    if model == 'resnet50':
        net = detection.maskrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None)
    else:
        backbone = _resnet_fpn_extractor(
            resnet18(weights=None), 5, norm_layer=nn.BatchNorm2d
        )
        net = detection.FasterRCNN(
            backbone,
            num_classes=None,
            box_head=FastRCNNConvFCHead(
                (256, 7, 7), [256] * 4, [1024], norm_layer=nn.BatchNorm2d
            ),
            box_predictor=detection.faster_rcnn.FastRCNNPredictor(1024, 3),
        )
    missing, unexpected = net.load_state_dict(torch.load(path), strict=False)
    net.eval()
    stages = net.backbone.body(image)
    found = {f'C{index + 2}': map_ for index, map_ in enumerate(stages.values())}
    for index, map_ in enumerate(net.backbone.fpn(stages).values()):
        if index < 4:  # then comes the pooled level
            found[f'P{index + 2}'] = map_
    found['objects'] = net.roi_heads.box_head(rois)
    # The numbers that normalise images.
    pixels = torch.stack(
        [
            255 * torch.tensor(net.transform.image_mean),
            255 * torch.tensor(net.transform.image_std),
        ]
    )
    return dict(features=found, missing=missing, unexpected=unexpected, pixels=pixels)


def timm_features(model, path, image, rois):
    """Those of a backbone without classifier."""
    import timm

    if model.startswith('resnet'):
        # All of its tensors must be there.
        net = timm.create_model(model, num_classes=0, checkpoint_path=path)
        missing = unexpected = []
    else:
        size = dict(img_size=image.shape[-1]) if 'swin' in model else {}
        net = timm.create_model(model, num_classes=0, **size)
        missing, unexpected = net.load_state_dict(torch.load(path), strict=False)
    net.eval()
    last, stages = net.forward_intermediates(image)
    found = {f'C{5 - index}': map_ for index, map_ in enumerate(stages[:-5:-1])}
    return dict(features=dict(found, last=last), missing=missing, unexpected=unexpected)


def import_detectron2():
    """Import detectron2 without its compiled operators, and with a new Pillow.

    The former are those of deformable convolutions and rotated boxes.
    """
    import detectron2
    import PIL.Image

    detectron2._C = types.ModuleType('detectron2._C')
    sys.modules[detectron2._C.__name__] = detectron2._C
    PIL.Image.LINEAR = PIL.Image.BILINEAR  # of which it was another name


def detectron2_features(model, path, image, rois):
    """Those of a detector of its model zoo, with the settings of an export."""
    import_detectron2()
    from detectron2 import model_zoo
    from detectron2.checkpoint import DetectionCheckpointer
    from detectron2.config import get_cfg
    from detectron2.modeling import build_model

    cfg = get_cfg()
    cfg.merge_from_file(model_zoo.get_config_file(model))
    cfg.merge_from_file(str(Path(path).with_suffix('.yaml')))
    cfg.MODEL.DEVICE = 'cpu'
    net = build_model(cfg).eval()
    DetectionCheckpointer(net).load(path)
    with open(path, 'rb') as stream:
        given = set(pickle.load(stream)['model'])
    names = set(net.state_dict())
    if '_FPN_' in model:
        stages, levels = net.backbone.bottom_up(image), net.backbone(image)
        head = getattr(net, 'roi_heads', None) and net.roi_heads.box_head
    else:
        stages, levels = net.backbone(image), {}
        head = net.roi_heads.res5
    found = {
        f'{kind}{name[-1]}': map_
        for kind, maps in (('C', stages), ('P', levels))
        for name, map_ in maps.items()
    }
    if head and not isinstance(head, nn.ModuleList):  # that of a cascade
        objects = head(rois)
        found['objects'] = objects if levels else objects.mean((2, 3))
    return dict(
        features=found,
        missing=sorted(names - given),
        unexpected=sorted(given - names),
        pixels=torch.stack([net.pixel_mean.flatten(), net.pixel_std.flatten()]),
        channels=net.input_format,
    )


def main(jobs, out):
    """Compute the features of all jobs."""
    sys.path.insert(0, str(FOLDER))
    library = import_torchvision()  # noqa: F841
    compute = dict(
        torchvision=torchvision_features,
        timm=timm_features,
        detectron2=detectron2_features,
    )
    with torch.no_grad():
        results = [
            compute[name](model, path, **torch.load(f'{path}.inputs'))
            for name, model, path in json.loads(jobs)
        ]
    torch.save(results, out)


if __name__ == '__main__':
    main(*sys.argv[1:])
