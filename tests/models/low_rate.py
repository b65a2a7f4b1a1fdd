"""Records what PyTorch makes of 20 steps of low-rate fine-tuning, for tests/models/low_rate.c: a small
convolutional network whose body learns at 0.1 of the head's rate, by SGD with momentum and weight decay over two parameter
groups. Start, pictures and result go into one safetensors file.

    python3 tests/models/low_rate.py tests/models/low_rate.safetensors
"""
import sys

import torch
from safetensors.torch import save_file

STEPS, BATCH = 20, 8
torch.manual_seed(7)
torch.set_num_threads(1)

# pixels are bytes, as in a data set; the network takes them divided by 255
pixels = torch.randint(0, 256, (BATCH, 1, 12, 12), dtype=torch.uint8)
labels = torch.arange(BATCH) % 3
for i, label in enumerate(labels):  # something to learn: a bright row for each class
    pixels[i, 0, 3 * label + 1] = 255

conv1, conv2 = torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.Conv2d(4, 6, 3)
head = torch.nn.Linear(24, 3)
relu, pool = torch.nn.functional.relu, torch.nn.functional.max_pool2d


def forward(x):
    x = pool(relu(conv1(x)), 2)
    x = pool(relu(conv2(x)), 2)
    return head(x.flatten(1))


named = {
    "body.conv1.weight": conv1.weight, "body.conv1.bias": conv1.bias,
    "body.conv2.weight": conv2.weight, "body.conv2.bias": conv2.bias,
    "head.linear1.weight": head.weight, "head.linear1.bias": head.bias,
}
out = {"pixels": pixels.float(), "labels": labels.to(torch.int32)}
out.update({"start." + name: value.detach().clone() for name, value in named.items()})
rate = 0.1
optimizer = torch.optim.SGD(
    [{"params": list(conv1.parameters()) + list(conv2.parameters()), "lr": 0.1 * rate},
     {"params": head.parameters()}],
    lr=rate, momentum=0.9, weight_decay=1e-3)
losses = []
for step in range(STEPS):
    optimizer.zero_grad()
    loss = torch.nn.functional.cross_entropy(forward(pixels.float() / 255), labels)
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
out.update({"end." + name: value.detach().clone() for name, value in named.items()})
out["losses"] = torch.tensor(losses)
save_file(out, sys.argv[1], metadata={"made_by": "low_rate.py, PyTorch " + torch.__version__})
print(losses)
