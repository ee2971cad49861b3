r"""Features that torchvision and timm compute from exported weights.

Run in a process of its own::

    python tests/other_libraries.py JOBS OUT

``JOBS`` is a JSON list of [library, model, weights]; beside the weights lies
``WEIGHTS.inputs`` with ``image`` (1, 3, H, W) and ``rois`` (R, C, S, S).
``OUT`` gets a list with the features and the names that were not loaded.

torchvision's wheels are built for CUDA; with another PyTorch its operators
cannot be loaded. Models up to the R-CNN head need none of them, but its
import asks for two, which are declared here and never called. A program that
finds such a torchvision by chance breaks, so it lies in a folder of its own:

    pip install --no-deps --upgrade -r requirements/test_libraries.txt \
        --target "$(python -c 'import sys; print(sys.prefix)')/test_libraries"
"""
import json
import sys
from pathlib import Path

import torch
from torch import nn

FOLDER = Path(sys.prefix) / 'test_libraries'


def import_torchvision():
    """Import torchvision, also where its operators cannot be loaded."""
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        for name in list(sys.modules):
            if name.partition('.')[0] == 'torchvision':
                del sys.modules[name]
        library = torch.library.Library('torchvision', 'FRAGMENT')
        for name in ('nms', 'qnms'):
            library.define(f'{name}(Tensor boxes, Tensor scores, '
                           'float iou_threshold) -> Tensor')
        import torchvision  # noqa: F401
        return library  # the declarations live as long as it does


def torchvision_features(model, path, image, rois):
    """Those of a Mask R-CNN of the second version, or a Faster R-CNN."""
    from torchvision.models import detection, resnet18
    from torchvision.models.detection.backbone_utils import \
        _resnet_fpn_extractor
    from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead
    if model == 'resnet50':
        net = detection.maskrcnn_resnet50_fpn_v2(
            weights=None, weights_backbone=None)
    else:
        backbone = _resnet_fpn_extractor(
            resnet18(weights=None), 5, norm_layer=nn.BatchNorm2d)
        net = detection.FasterRCNN(
            backbone,
            num_classes=None,
            box_head=FastRCNNConvFCHead((256, 7, 7), [256] * 4, [1024],
                                        norm_layer=nn.BatchNorm2d),
            box_predictor=detection.faster_rcnn.FastRCNNPredictor(1024, 3))
    missing, unexpected = net.load_state_dict(torch.load(path), strict=False)
    net.eval()
    stages = net.backbone.body(image)
    found = {f'C{index + 2}': map_
             for index, map_ in enumerate(stages.values())}
    for index, map_ in enumerate(net.backbone.fpn(stages).values()):
        if index < 4:  # then comes the pooled level
            found[f'P{index + 2}'] = map_
    found['objects'] = net.roi_heads.box_head(rois)
    # The numbers that normalise images.
    pixels = torch.stack([
        255 * torch.tensor(net.transform.image_mean),
        255 * torch.tensor(net.transform.image_std)
    ])
    return dict(
        features=found,
        missing=missing,
        unexpected=unexpected,
        pixels=pixels)


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
        missing, unexpected = net.load_state_dict(
            torch.load(path), strict=False)
    net.eval()
    last, stages = net.forward_intermediates(image)
    found = {f'C{5 - index}': map_
             for index, map_ in enumerate(stages[:-5:-1])}
    return dict(
        features=dict(found, last=last),
        missing=missing,
        unexpected=unexpected)


def main(jobs, out):
    """Compute the features of all jobs."""
    sys.path.insert(0, str(FOLDER))
    library = import_torchvision()  # noqa: F841
    compute = dict(torchvision=torchvision_features, timm=timm_features)
    with torch.no_grad():
        results = [
            compute[name](model, path, **torch.load(f'{path}.inputs'))
            for name, model, path in json.loads(jobs)
        ]
    torch.save(results, out)


if __name__ == '__main__':
    main(*sys.argv[1:])
