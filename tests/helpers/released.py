# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Names and shapes of tensors in released checkpoints."""


def with_bias(name, *shape, out=0):
    """A weight and its bias, which is as long as dimension ``out``."""
    return {f'{name}.weight': shape, f'{name}.bias': shape[out:out + 1]}


def vit(width, depth, patch, side):
    """Shapes of timm's ViT without classifier."""
    shapes = {
        'cls_token': (1, 1, width),
        'pos_embed': (1, 1 + side**2, width),
        **with_bias('patch_embed.proj', width, 3, patch, patch),
        **with_bias('norm', width)}
    for i in range(depth):
        shapes.update(
            {f'blocks.{i}.{k}': v for k, v in vit_block(width).items()})
    return shapes


def vit_block(width):
    """Shapes of a block of timm's ViT."""
    shapes = {}
    for name, *shape in (('norm1', width), ('attn.qkv', 3 * width, width),
                         ('attn.proj', width, width), ('norm2', width),
                         ('mlp.fc1', 4 * width, width),
                         ('mlp.fc2', width, 4 * width)):
        shapes.update(with_bias(name, *shape))
    return shapes
