"""Gradients of whole models beside PyTorch in float64: how far cvm's are from them, and how far PyTorch's
own in float32 are. Builds each model as a shared object that trains, gives both the same weights and
pictures, and prints for each model the error of all gradients together, and the tensor where cvm does worst
beside float32:

    python3 tests/reference/gradients.py build/cvmc [FOLDER]

FOLDER keeps the objects; where it has them already, cvmc is not run. An error is the norm of the difference
as a share of the norm of the float64 gradient, the root of its mean square over some trials with weights and
pictures of their own. Exits with 1 where that of a whole model is more than four times float32's.

Rounding may put a number on the other side of a ReLU, and then one gradient in a million is there or not: a
thousandth of the norm, in float32 too, but not in every trial. So a second residual network has GELU in its place.
"""
import ctypes
import os
import subprocess
import sys
import tempfile

import torch
from torch import nn

TRAIN = """
data d {{ folder "none" image {image} classes 10 train idx("a", "b") test idx("a", "b") }}
train M on d {{ loss cross_entropy optimizer sgd(rate=0.1) epochs 1 batch {batch} seed 1 }}
"""

LENET = """
model M {
    input image: [1, 28, 28]
    conv(6, kernel=5, pad=2) relu maxpool(2)
    conv(16, kernel=5) relu maxpool(2)
    flatten linear(120) relu linear(84) relu linear(10)
}
"""
VGG = """
block stage(channels: int, depth: int) { repeat depth { conv(channels, kernel=3, pad=1) relu } maxpool(2) }
model M {
    input image: [3, 64, 64]
    stage(32, 2) stage(64, 2) stage(128, 3) stage(128, 3)
    flatten linear(256) relu linear(10)
}
"""
RESNET = """
block unit(channels: int) {
    let skip = it
    conv(channels, kernel=3, pad=1, bias=false) batchnorm relu
    conv(channels, kernel=3, pad=1, bias=false) batchnorm
    add(it, skip) relu
}
block down(channels: int) {
    let skip = it conv(channels, kernel=1, stride=2, bias=false) batchnorm
    conv(channels, kernel=3, stride=2, pad=1, bias=false) batchnorm relu
    conv(channels, kernel=3, pad=1, bias=false) batchnorm
    add(it, skip) relu
}
model M {
    input image: [3, 32, 32]
    conv(32, kernel=3, pad=1, bias=false) batchnorm relu
    unit(32) down(64) unit(64) down(128) unit(128)
    global_avgpool flatten linear(10)
}
"""


def conv(i, o, **how):
    return nn.Conv2d(i, o, **how)


def stage(i, o, depth):
    layers = []
    for k in range(depth):
        layers += [conv(i if k == 0 else o, o, kernel_size=3, padding=1), nn.ReLU()]
    return layers + [nn.MaxPool2d(2)]


class Unit(nn.Module):
    """Its layers stand in the order of cvm's text, so that parameters pair up one by one."""

    def __init__(self, i, o, stride):
        super().__init__()
        if stride > 1:
            self.skip = nn.Sequential(conv(i, o, kernel_size=1, stride=stride, bias=False), nn.BatchNorm2d(o))
        self.body = nn.Sequential(
            conv(i, o, kernel_size=3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU(),
            conv(o, o, kernel_size=3, padding=1, bias=False), nn.BatchNorm2d(o))

    def forward(self, x):
        return torch.relu(self.body(x) + (self.skip(x) if hasattr(self, "skip") else x))


def lenet():
    return nn.Sequential(
        conv(1, 6, kernel_size=5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        conv(6, 16, kernel_size=5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10))


def vgg():
    return nn.Sequential(*stage(3, 32, 2), *stage(32, 64, 2), *stage(64, 128, 3), *stage(128, 128, 3),
                         nn.Flatten(), nn.Linear(2048, 256), nn.ReLU(), nn.Linear(256, 10))


def resnet():
    return nn.Sequential(
        conv(3, 32, kernel_size=3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU(),
        Unit(32, 32, 1), Unit(32, 64, 2), Unit(64, 64, 1), Unit(64, 128, 2), Unit(128, 128, 1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10))


class Smooth(nn.Module):
    """A module's ReLUs as GELUs."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        relu, torch.relu = torch.relu, nn.functional.gelu
        for one in self.module.modules():
            if isinstance(one, nn.ReLU):
                one.forward = nn.functional.gelu
        y = self.module(x)
        torch.relu = relu
        return y


TRIALS = 8
MODELS = [("lenet", LENET, lenet, (1, 28, 28), 64), ("vgg", VGG, vgg, (3, 64, 64), 16),
          ("resnet", RESNET, resnet, (3, 32, 32), 32),
          ("resnet_gelu", RESNET.replace("relu", "gelu"), lambda: Smooth(resnet()), (3, 32, 32), 32)]


class Parameter(ctypes.Structure):
    """NAME_parameter of the object's header."""
    _fields_ = [("size", ctypes.c_size_t), ("name", ctypes.c_char_p), ("rank", ctypes.c_int),
                ("shape", ctypes.c_int64 * 4), ("elements", ctypes.c_int64),
                ("learned", ctypes.c_int), ("multiplier", ctypes.c_double)]


def floats(tensor):
    return tensor.detach().numpy().ctypes.data_as(ctypes.POINTER(ctypes.c_float))


class Trainer:
    """A model's shared object, by the functions of its header."""

    def __init__(self, path, prefix):
        self.library, self.prefix = ctypes.CDLL(path), prefix
        self.trainer = ctypes.c_void_p()
        self.call("trainer_create", None, None, ctypes.byref(self.trainer))
        self.names = []
        for i in range(self.library[f"{prefix}_parameter_count"]()):
            one = Parameter(size=ctypes.sizeof(Parameter))
            self.call("parameter_at", i, ctypes.byref(one))
            self.names.append((one.name, one.multiplier))

    def call(self, name, *arguments):
        status = self.library[f"{self.prefix}_{name}"](*arguments)
        if status:
            message = self.library[f"{self.prefix}_message"]
            message.restype = ctypes.c_char_p
            sys.exit(f"{self.prefix}_{name}: {message().decode()}")

    def gradients(self, weights, images, labels):
        learning = [name for name, multiplier in self.names if multiplier]
        assert len(learning) == len(weights)
        for name, weight in zip(learning, weights):
            self.call("trainer_set_parameter", self.trainer, name, floats(weight), ctypes.c_size_t(weight.numel()))
        self.call("gradients", self.trainer, floats(images),
                  labels.to(torch.int32).numpy().ctypes.data_as(ctypes.POINTER(ctypes.c_int32)),
                  ctypes.c_size_t(len(images)), None)
        result = [torch.empty_like(weight) for weight in weights]
        for name, gradient in zip(learning, result):
            self.call("get_gradient", self.trainer, name, floats(gradient), ctypes.c_size_t(gradient.numel()))
        return [name.decode() for name in learning], result


def pytorch(model, dtype, images, labels):
    model = model.to(dtype)
    model.zero_grad()
    nn.functional.cross_entropy(model(images.to(dtype)), labels).backward()
    return [p.grad.to(torch.float64) for p in model.parameters()]


def error(gradients, exact):
    difference = sum(((a.to(torch.float64) - b) ** 2).sum() for a, b in zip(gradients, exact))
    return (difference / sum((b ** 2).sum() for b in exact)).sqrt().item()


def root_mean_square(errors):
    return (sum(e * e for e in errors) / len(errors)) ** 0.5


def trial(trainer, seed, make, image, batch):
    """Names of the tensors, and for the whole and then each of them the errors of cvm and of float32."""
    torch.manual_seed(seed)
    model = make()
    images, labels = torch.randn(batch, *image), torch.randint(10, (batch,))
    weights = [p.detach().clone() for p in model.parameters()]
    single = pytorch(model, torch.float32, images, labels)
    exact = pytorch(model, torch.float64, images, labels)
    names, ours = trainer.gradients(weights, images, labels)
    rows = [(ours, single, exact)] + [([a], [b], [c]) for a, b, c in zip(ours, single, exact)]
    return names, [(error(a, c), error(b, c)) for a, b, c in rows]


def compare(name, text, make, image, batch, cvmc, folder):
    path = os.path.join(folder, f"{name}.so")
    if not os.path.exists(path):
        with open(os.path.join(folder, f"{name}.cvm"), "w") as file:
            file.write(text + TRAIN.format(image=list(image), batch=batch))
        subprocess.run([cvmc, "build", f"{name}.cvm", "--train"], cwd=folder, check=True)
    trainer = Trainer(path, name)
    trials = []
    for seed in range(TRIALS):
        names, errors = trial(trainer, seed, make, image, batch)
        trials.append(errors)
        trainer.call("discard", trainer.trainer)
    rows = [tuple(root_mean_square([t[i][k] for t in trials]) for k in range(2)) for i in range(len(trials[0]))]
    whole = rows[0]
    ratio, worst = max((a / b, i) for i, (a, b) in enumerate(rows[1:]) if b > 0)
    print(f"{name}: cvm {whole[0]:.2e}, float32 {whole[1]:.2e}, {whole[0] / whole[1]:.2f} times; at worst "
          f"{names[worst]}: {rows[worst + 1][0]:.2e}, {rows[worst + 1][1]:.2e}, {ratio:.2f} times")
    return whole[0] / whole[1]


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as own:
        folder = sys.argv[2] if len(sys.argv) > 2 else own
        most = max(compare(*model, os.path.abspath(sys.argv[1]), folder) for model in MODELS)
    sys.exit(most > 4)


main()
