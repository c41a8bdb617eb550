"""The experiment in PyTorch: an `nn.Module`, an optimizer, and the center loss as one more term of the sum."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

import multiloss
from multiloss.demo.data import Data
from multiloss.demo.settings import CENTER, SQUARED, AfterEpoch, Settings, Trained, batches, in_chunks


class Net(nn.Module):
    """A body that ends in 2 features, and a linear layer that makes class outputs of them."""

    def __init__(self, shape: tuple[int, ...], classes: int, network: str) -> None:
        super().__init__()
        self.body = cnn(shape) if network == "cnn" else mlp(shape)
        self.output = nn.Linear(2, classes)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Images -> features (N, 2) and class outputs (N, C)."""
        features = self.body(images)
        return features, self.output(features)


def mlp(shape: tuple[int, ...]) -> nn.Sequential:
    """Two hidden layers."""
    values = int(np.prod(shape))
    return nn.Sequential(
        nn.Flatten(), nn.Linear(values, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 2)
    )


def cnn(shape: tuple[int, ...]) -> nn.Sequential:
    """Two convolutions of 5 x 5, without padding."""
    height, width = (((side - 4) // 2 - 4) // 2 for side in shape[:2])
    return nn.Sequential(
        nn.Conv2d(shape[2], 16, 5),
        nn.PReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5),
        nn.PReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * height * width, 2),
    )


def train(data: Data, settings: Settings, after_epoch: AfterEpoch) -> Trained:
    """Train one network."""
    torch.manual_seed(settings.seed)
    classes = len(data.classes)
    net = Net(data.shape, classes, settings.network)
    optimizer = torch.optim.SGD(net.parameters(), settings.learning_rate, momentum=settings.momentum)
    softmax = multiloss.get("sparse_categorical_crossentropy", backend="torch", from_logits=True)
    squared = multiloss.get("mean_squared_error", backend="torch")
    center = multiloss.get("center", backend="torch", num_classes=classes, feature_dim=2, alpha=settings.alpha)

    def to_tensor(images: np.ndarray) -> torch.Tensor:
        tensor = torch.from_numpy(images)
        return tensor.permute(0, 3, 1, 2).contiguous() if tensor.ndim == 4 else tensor  # torch: channels first

    @in_chunks
    def predict(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        net.eval()
        with torch.no_grad():
            features, outputs = net(to_tensor(images))
        return features.numpy(), outputs.numpy()

    x_train, y_train = to_tensor(data.x_train), torch.from_numpy(data.y_train)
    for epoch in range(settings.epochs):
        net.train()
        optimizer.param_groups[0]["lr"] = settings.rate(epoch)
        total = torch.zeros(())
        order = torch.from_numpy(batches(len(x_train), settings, epoch))
        for index in order:
            images, labels = x_train[index], y_train[index]
            features, outputs = net(images)
            if settings.objective == SQUARED:
                loss = squared(nn.functional.one_hot(labels, classes).to(outputs), outputs)
            else:
                loss = softmax(labels, outputs)
            if settings.objective == CENTER:
                loss = loss + settings.center_weight * center(labels, features)  # the centers move by themselves
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach()
        after_epoch(float(total) / len(order), predict)
    return Trained(predict, center.centers.numpy().copy() if settings.objective == CENTER else None)
