"""timm backbones with Squeeze-and-Excitation of any reduction; start weights; the parameter limit. The only room with timm."""
