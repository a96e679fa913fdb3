"""Which layer of a network each parameter belongs to, counted from the classifier down."""

from __future__ import annotations

from timm.models import group_parameters
from timm.optim import auto_group_layers  # type: ignore[attr-defined]  # exported without saying so
from torch import nn

from hpsearch.errors import InfeasibleError


def depth_below_classifier(model: nn.Module) -> dict[str, int]:
    """Parameter of a `Detector` → number of layers up to the classifier, whose own have 0.

    Layers are grouped as the network's own `group_matcher` says; where timm has none (CAFormer), twelve parameters make one.

    Raises:
        InfeasibleError: a plugin's network, which says nothing of its layers.
    """
    network = model.get_submodule("network")
    matcher = getattr(network, "group_matcher", None)
    if matcher is not None:
        layers: dict[str, int] = group_parameters(network, matcher(coarse=False), reverse=True)
    elif getattr(network, "pretrained_cfg", {}).get("classifier"):
        layers = auto_group_layers(network)  # type: ignore[no-untyped-call]
    else:
        raise InfeasibleError(
            f"layer_decay: {type(network).__name__} has no group_matcher to say what its layers are. "
            "Set layer_decay: none for it, or give it timm's group_matcher method."
        )
    top = max(layers.values())
    return {f"network.{name}": top - layer for name, layer in layers.items()}
