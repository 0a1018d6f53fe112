"""The updates of a model's weights: the optimizer, and the work before and after each of its steps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


@dataclass(kw_only=True)
class Updates:
    """Changes a model's weights, once in each step of training, by the gradients in `.grad`."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LambdaLR | None = None  # the schedule of the learning rates, by step
    scaler: torch.amp.GradScaler | None = None  # scales the loss, in fp16
    ema: AveragedModel | None = None  # the moving average of the weights, which is kept instead of the last weights
    clip_norm: float = 0.0  # the largest norm that all gradients together may have; 0 does not clip them

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The parameters that learn."""
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    @property
    def judged(self) -> nn.Module:
        """The model that is judged and kept: the moving average if there is one."""
        return self.model if self.ema is None else self.ema.module

    @property
    def rate(self) -> float:
        """The highest learning rate of any parameter now."""
        return max(float(group["lr"]) for group in self.optimizer.param_groups)

    @property
    def highest_rate(self) -> float:
        """The highest learning rate that the schedule gives any parameter."""
        return max(float(group.get("initial_lr", group["lr"])) for group in self.optimizer.param_groups)

    @property
    def scale(self) -> float:
        """The factor by which scaled() multiplies a loss and its gradients."""
        return float(self.scaler.get_scale()) if self.scaler else 1.0

    def scaled(self, loss: Tensor) -> Tensor:
        """Return the loss whose gradients step() expects."""
        return self.scaler.scale(loss) if self.scaler else loss

    def step(self) -> None:
        """Change the weights once."""
        if self.scaler:
            self.scaler.unscale_(self.optimizer)
        if self.clip_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)
        if self.scaler:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        else:
            self.optimizer.step()
        if self.schedule:
            self.schedule.step()
        if self.ema:
            self.ema.update_parameters(self.model)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the next step depends on, for a checkpoint; None for each part that is not in use."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule and self.schedule.state_dict(),
            "scaler": self.scaler and self.scaler.state_dict(),
            "ema": self.ema and self.ema.state_dict(),
        }

    def load_state_dict(self, content: Mapping[str, Any]) -> None:
        """Restore the state that state_dict() returned; other keys are ignored."""
        self.model.load_state_dict(content["model"])
        self.optimizer.load_state_dict(content["optimizer"])
        for part, name in ((self.schedule, "schedule"), (self.scaler, "scaler"), (self.ema, "ema")):
            if part is not None:
                part.load_state_dict(content[name])
