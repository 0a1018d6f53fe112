"""How a model's weights change: the optimizer, and what comes before and after each of its steps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


@dataclass(kw_only=True)
class Updates:
    """Changes a model's weights, once in each step of training, by the gradients that lie in `.grad`."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LambdaLR | None = None  # of the learning rates, by step
    scaler: torch.amp.GradScaler | None = None  # of the loss, in fp16
    ema: AveragedModel | None = None  # the average of the weights that is kept in place of the last ones
    clip_norm: float = 0.0  # the largest norm of all gradients together; 0 leaves them as they are

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The parameters that learn."""
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    @property
    def judged(self) -> nn.Module:
        """The model that is judged and kept: the average where there is one."""
        return self.model if self.ema is None else self.ema.module

    @property
    def rate(self) -> float:
        """The highest learning rate of any parameter now."""
        return max(float(group["lr"]) for group in self.optimizer.param_groups)

    @property
    def highest_rate(self) -> float:
        """The highest learning rate that any parameter has in the course of the schedule."""
        return max(float(group.get("initial_lr", group["lr"])) for group in self.optimizer.param_groups)

    @property
    def scale(self) -> float:
        """By how much scaled() multiplies a loss, and with it the gradients."""
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
        """Return what the next step depends on, as a checkpoint keeps it; None for each part that there is not."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule and self.schedule.state_dict(),
            "scaler": self.scaler and self.scaler.state_dict(),
            "ema": self.ema and self.ema.state_dict(),
        }

    def load_state_dict(self, content: Mapping[str, Any]) -> None:
        """Go on from where state_dict() was; other keys are not looked at."""
        self.model.load_state_dict(content["model"])
        self.optimizer.load_state_dict(content["optimizer"])
        for part, name in ((self.schedule, "schedule"), (self.scaler, "scaler"), (self.ema, "ema")):
            if part is not None:
                part.load_state_dict(content[name])
