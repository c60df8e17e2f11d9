"""Optimizers by name, among them two that damp the rotation of a two-player game."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from steadygan.config import OptimizerConfig
from steadygan.errors import unknown


class OptimisticAdam(torch.optim.Optimizer):
    """Adam that extrapolates: theta <- theta - lr (2 d_t - d_{t-1}), d_t = m_t / (sqrt(v_t) + eps), bias-corrected.

    Paper: Daskalakis et al. 2018, "Training GANs with optimism".
    """

    def __init__(self, params: Iterable[Tensor], lr: float, betas: tuple[float, float], eps: float) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Take one step; a closure is not supported."""
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["step"] = torch.zeros(())
                    for name in ("mean", "square", "last"):
                        state[name] = torch.zeros_like(parameter)
                state["step"] += 1
                count = float(state["step"])
                state["mean"].lerp_(parameter.grad, 1 - beta1)
                state["square"].mul_(beta2).addcmul_(parameter.grad, parameter.grad, value=1 - beta2)
                scale = (state["square"] / (1 - beta2**count)).sqrt_().add_(group["eps"])
                direction = (state["mean"] / (1 - beta1**count)).div_(scale)
                parameter.add_(direction, alpha=-2 * group["lr"]).add_(state["last"], alpha=group["lr"])
                state["last"] = direction


class Lookahead:
    """Every k steps the slow weights go a share alpha towards the fast ones, and the fast ones start again from there.

    With both players wrapped this is Lookahead-minimax. Papers: Zhang et al. 2019; Chavdarova et al. 2021.
    """

    def __init__(self, base: torch.optim.Optimizer, every: int, alpha: float) -> None:
        self.base, self.every, self.alpha = base, every, alpha
        self.param_groups = base.param_groups
        self.count = 0
        self.slow = [parameter.detach().clone() for group in base.param_groups for parameter in group["params"]]

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.base.zero_grad(set_to_none=set_to_none)

    @torch.no_grad()
    def step(self) -> None:
        self.base.step()
        self.count += 1
        if self.count % self.every == 0:
            fast = [parameter for group in self.base.param_groups for parameter in group["params"]]
            torch._foreach_lerp_(self.slow, fast, self.alpha)
            torch._foreach_copy_(fast, self.slow)

    def state_dict(self) -> dict[str, Any]:
        return {"base": self.base.state_dict(), "count": self.count, "slow": self.slow}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.base.load_state_dict(state["base"])
        self.param_groups = self.base.param_groups
        self.count = state["count"]
        torch._foreach_copy_(self.slow, state["slow"])


def _adam(params: list[Tensor], config: OptimizerConfig, rate: float) -> torch.optim.Optimizer:
    betas = (config.beta1, config.beta2)
    return torch.optim.Adam(params, rate, betas, config.epsilon, config.weight_decay, fused=True)


def _adamw(params: list[Tensor], config: OptimizerConfig, rate: float) -> torch.optim.Optimizer:
    betas = (config.beta1, config.beta2)
    return torch.optim.AdamW(params, rate, betas, config.epsilon, config.weight_decay, fused=True)


def _sgd(params: list[Tensor], config: OptimizerConfig, rate: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(params, rate, config.momentum, weight_decay=config.weight_decay)


def _rmsprop(params: list[Tensor], config: OptimizerConfig, rate: float) -> torch.optim.Optimizer:
    return torch.optim.RMSprop(params, rate, config.beta2, config.epsilon, config.weight_decay, config.momentum)


def _optimistic(params: list[Tensor], config: OptimizerConfig, rate: float) -> torch.optim.Optimizer:
    return OptimisticAdam(params, rate, (config.beta1, config.beta2), config.epsilon)


OPTIMIZERS: dict[str, Callable[[list[Tensor], OptimizerConfig, float], torch.optim.Optimizer]] = {
    "adam": _adam,
    "adamw": _adamw,
    "sgd": _sgd,
    "rmsprop": _rmsprop,
    "optimistic-adam": _optimistic,
}


def build_optimizer(params: Iterable[Tensor], config: OptimizerConfig) -> torch.optim.Optimizer | Lookahead:
    """The optimizer that ``config`` names over ``params``; the loop sets its rate from the control every round."""
    if config.name not in OPTIMIZERS:
        raise unknown("optimizer", config.name, OPTIMIZERS)
    base = OPTIMIZERS[config.name](list(params), config, config.learning_rate.value)
    return Lookahead(base, config.lookahead_every, config.lookahead_alpha) if config.lookahead_every else base
