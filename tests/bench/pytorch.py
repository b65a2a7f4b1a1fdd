"""Prints the median time, in seconds, of one inference or training step in PyTorch.

usage: pytorch.py {lenet5|alexnet|vgg16|...} 3x224x224 BATCH {inference|training} THREADS SECONDS [WAY]
Names other than lenet5 are torchvision's. WAY: eager (default), compiled or channels_last.
"""
import statistics
import sys
import time

import torch
from torch import nn


def lenet5():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10))


def make_model(name):
    if name == "lenet5":
        return lenet5()
    import torchvision.models
    return getattr(torchvision.models, name)(weights=None)


def make_step(model, images, what, way):
    if way == "channels_last":
        model = model.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
    model.train(what == "training")
    run = torch.compile(model) if way == "compiled" else model
    if what == "inference":
        def infer():
            with torch.inference_mode():
                run(images)
        return infer
    targets = torch.zeros(len(images), dtype=torch.long)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6, momentum=0.9, weight_decay=5e-4)

    def train():
        loss = nn.functional.cross_entropy(run(images), targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return train


def main():
    name, picture, batch, what, threads, seconds = sys.argv[1:7]
    way = sys.argv[7] if len(sys.argv) > 7 else "eager"
    torch.set_num_threads(int(threads))
    images = torch.rand(int(batch), *map(int, picture.split("x"))) * 2 - 1
    step = make_step(make_model(name), images, what, way)
    for _ in range(2):
        step()
    times = []
    end = time.perf_counter() + float(seconds)
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    print(statistics.median(times))


main()
