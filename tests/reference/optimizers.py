"""Makes the numbers of tests/unit/optimizers.c: a weight tensor of 2 x 3 elements after five steps,
by PyTorch's optimizers in float64; LARS, which PyTorch has not, by the formula of its paper.

    python3 tests/reference/optimizers.py
"""
import torch

WEIGHT = [[0.5, -1.0, 2.0], [0.25, 1.5, -0.75]]


def gradient(step):
    """The gradient of a step: of mixed sign and size, sums of small binary fractions."""
    return torch.tensor([[((step * 7 + i * 5) % 11 - 5) / 8 for i in range(row * 3, row * 3 + 3)]
                         for row in range(2)], dtype=torch.float64)


class Lars(torch.optim.Optimizer):
    """You, Gitman and Ginsburg 2017, algorithm 1, momentum as PyTorch's SGD has it."""

    def __init__(self, parameters, lr, momentum, weight_decay, trust):
        super().__init__(parameters, dict(lr=lr, momentum=momentum, decay=weight_decay, trust=trust))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for w in group["params"]:
                norm, slope = w.norm(), w.grad.norm()
                local = group["trust"] * norm / (slope + group["decay"] * norm)
                change = local * (w.grad + group["decay"] * w)
                v = self.state[w].setdefault("v", torch.zeros_like(w))
                v.mul_(group["momentum"]).add_(change)
                w.sub_(group["lr"] * v)


CASES = [
    ("sgd", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01), None),
    ("nesterov", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True), None),
    ("adam", lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.1), None),
    ("adamw", lambda p: torch.optim.AdamW(p, lr=0.01, betas=(0.8, 0.99), weight_decay=0.1), None),
    ("lars", lambda p: Lars(p, lr=0.5, momentum=0.9, weight_decay=0.01, trust=0.02), None),
    ("clipped sgd", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9), 0.75),
]

for name, make, clip in CASES:
    w = torch.tensor(WEIGHT, dtype=torch.float64, requires_grad=True)
    optimizer = make([w])
    for step in range(5):
        w.grad = gradient(step)
        if clip:
            torch.nn.utils.clip_grad_norm_([w], clip)
        optimizer.step()
    print(name, ", ".join(f"{x:.9f}" for x in w.flatten().tolist()))

# An average of the weights whose shares of the past add up to one: torch.optim.swa_utils with the
# correction of Adam's averages, beside the sum that it stands for.
KEEP = 0.8


def corrected(average, weight, count):
    return average + (weight - average) * (1 - KEEP) / (1 - KEEP ** (int(count) + 1))


class Weight(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.tensor(WEIGHT, dtype=torch.float64))


for name, make, clip in CASES[:1] + CASES[3:4]:
    module = Weight()
    averaged = torch.optim.swa_utils.AveragedModel(module, avg_fn=corrected)
    optimizer = make([module.w])
    sums = shares = 0
    for step in range(5):
        module.w.grad = gradient(step)
        optimizer.step()
        averaged.update_parameters(module)
        sums = KEEP * sums + module.w.detach()
        shares = KEEP * shares + 1
    average = averaged.module.w.detach()
    assert torch.allclose(average, sums / shares, rtol=1e-12, atol=0)
    print("average of", name, ", ".join(f"{x:.9f}" for x in average.flatten().tolist()))

w = torch.zeros(1, requires_grad=True)
sgd = torch.optim.SGD([w], lr=0.4)
cycle = torch.optim.lr_scheduler.OneCycleLR(sgd, max_lr=0.4, total_steps=20, cycle_momentum=False)
rates = []
for step in range(20):
    rates.append(sgd.param_groups[0]["lr"])
    sgd.step()
    if step < 19:
        cycle.step()
print("one_cycle", ", ".join(f"{rates[i]:.9g}" for i in (0, 3, 5, 6, 12, 19)))

sgd = torch.optim.SGD([w], lr=0.4)
plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(sgd, factor=0.5, patience=1)
rates = []
for loss in (1.0, 0.5, 0.6, 0.7, 0.8, 0.4, 0.4, 0.4, 0.4):
    rates.append(sgd.param_groups[0]["lr"])
    plateau.step(loss)
print("plateau", ", ".join(f"{x:.9g}" for x in rates))
