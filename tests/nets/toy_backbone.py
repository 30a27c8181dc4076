"""A small backbone with maps at strides 2, 4 and 8, and a network of any backbone and a head."""

from torch import nn

from nasrun.nets.headed import head_on


def stage(c_in, c_out):
    return nn.Sequential(nn.Conv2d(c_in, c_out, 3, 2, 1), nn.BatchNorm2d(c_out), nn.ReLU())


class ToyBackbone(nn.Module):
    widths = (4, 6, 8)
    strides = (2, 4, 8)

    def __init__(self):
        super().__init__()
        self.stages = nn.ModuleList(map(stage, (3, *self.widths[:-1]), self.widths))

    def maps(self, x):
        found = []
        for each in self.stages:
            found.append(x := each(x))
        return found


class HeadedNetwork(nn.Module):
    def __init__(self, backbone, objective):
        super().__init__()
        self.backbone = backbone
        self.head = head_on(objective, backbone.widths, backbone.strides)

    def forward(self, x):
        return self.head(self.backbone.maps(x), x)
