from torch import nn


def has_idle_layers(model: nn.Module) -> bool:
    """Whether a model has trained layers that its loss does not depend on.

    Those of a backbone behind its last output, such as ``conv2`` of MMDetection's
    MobileNetV2, and those of pyramid levels that no object is on. Several processes
    must know, since each waits for the gradients of all layers.

    Args:
        model (nn.Module): A :class:`SoCo`, or another model with a backbone.

    Returns:
        bool: Whether any of them has a trained parameter.
    """
    idle = [*behind_outputs(getattr(model, 'backbone', None)), *unread_levels(model)]
    return any(p.requires_grad for layer in idle for p in layer.parameters())


def behind_outputs(backbone: nn.Module | None) -> list[nn.Module]:
    """The layers of a backbone behind the last one that it outputs."""
    last = max(getattr(backbone, 'out_indices', None) or [-1])
    for name in ('stages', 'res_layers', 'layers'):
        layers = getattr(backbone, name, None)
        if layers and last >= 0:
            return [
                getattr(backbone, each) if isinstance(each, str) else each
                for each in list(layers)[last + 1 :]
            ]
    return []


def unread_levels(model: nn.Module) -> list[nn.Module]:
    """The convolutions of an FPN for levels that neither head reads."""
    extractor = getattr(getattr(model, 'roi_head', None), 'bbox_roi_extractor', None)
    if extractor is None or getattr(model, 'rpn_head', None) is not None:
        return []
    convs = getattr(getattr(model, 'neck', None), 'fpn_convs', ())
    return list(convs)[len(extractor.roi_layers) :]
