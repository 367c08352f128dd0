"""The same bottle in a plain PyTorch loop: wrap the loop in ``boundarycb.watch``, and change no line of it."""

import torch
from torch import nn

import boundarycb
from boundarycb.data import bottle, pixels_of

STEPS = 2000

torch.manual_seed(0)
torch.set_num_threads(1)  # more gain nothing on a network this small
points, labels = map(torch.from_numpy, pixels_of(bottle()))
model = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2))
for layer in model:
    if isinstance(layer, nn.Linear):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)

with boundarycb.watch(model, optimizer, schedule="log") as recorder:
    for _ in range(STEPS):
        batch = torch.randint(len(points), (1024,))
        loss = nn.functional.cross_entropy(model(points[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        recorder.log(loss=loss)
        optimizer.step()
        scheduler.step()

print(f"accuracy  {(model(points).argmax(dim=1) == labels).float().mean():.2%}")
print(f"movie     {recorder.directory / 'boundaries.gif'}")
print("see it    tensorboard --samples_per_plugin images=1000 --logdir runs")
