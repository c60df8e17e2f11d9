"""Optimizers by name, among them two that damp the rotation of a two-player game."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from steadygan.config import OptimizerConfig
from steadygan.errors import unknown
from steadygan.game.state import Optimizer
from steadygan.runtime import shards

MOMENTS = ("exp_avg", "exp_avg_sq")
"""Names of the running means of gradients and of their squares, as torch has them in its checkpoints."""


class Adam:
    """Adam by torch's fused kernel: theta <- theta - lr m_t / (sqrt(v_t) + eps), bias-corrected, in one pass over all.

    The same bits and the same state as ``torch.optim.Adam(fused=True)``, without that class around it, which imports
    torch's compiler (most of a second at the start) and costs as much a step as a few small layers. ``decoupled``
    weight decay is AdamW's. Papers: Kingma and Ba 2015; Loshchilov and Hutter 2019.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float = 0.0,
        *,
        decoupled: bool = False,
    ) -> None:
        group = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        self.param_groups: list[dict[str, Any]] = [{"params": list(params), **group}]
        self.state: dict[Tensor, dict[str, Tensor]] = {}
        self._kernel = torch._fused_adamw_ if decoupled else torch._fused_adam_

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or set them to 0."""
        for parameter in self.param_groups[0]["params"]:
            if set_to_none or parameter.grad is None:
                parameter.grad = None
            else:
                parameter.grad.zero_()

    @torch.no_grad()
    def step(self) -> None:
        """Take one step with every parameter that has a gradient."""
        alike: dict[tuple[torch.device, torch.dtype], list[Tensor]] = {}
        for parameter in self.param_groups[0]["params"]:
            if parameter.grad is not None:
                alike.setdefault((parameter.device, parameter.dtype), []).append(parameter)
        for parameters in alike.values():
            self._step(parameters)

    def _step(self, parameters: list[Tensor]) -> None:
        """The same for parameters of one kind on one device."""
        group, states = self.param_groups[0], [self._state(parameter) for parameter in parameters]
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        steps = [state["step"] for state in states]
        torch._foreach_add_(steps, 1)
        self._kernel(
            shards.local(parameters),
            shards.local(gradients),
            shards.local([state[MOMENTS[0]] for state in states]),
            shards.local([state[MOMENTS[1]] for state in states]),
            [],
            steps,
            lr=float(group["lr"]),
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            amsgrad=False,
            maximize=False,
        )

    def _state(self, parameter: Tensor) -> dict[str, Tensor]:
        if parameter not in self.state:
            count = torch.zeros((), dtype=torch.float32, device=parameter.device)
            self.state[parameter] = {"step": count} | {name: torch.zeros_like(parameter) for name in MOMENTS}
        return self.state[parameter]

    def state_dict(self) -> dict[str, Any]:
        """Moments by number of the parameter, and the settings, as torch has them."""
        group = self.param_groups[0]
        known = {index: self.state[one] for index, one in enumerate(group["params"]) if one in self.state}
        return {"state": known, "param_groups": [group | {"params": list(range(len(group["params"])))}]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what ``state_dict`` gave, or torch's own class."""
        group = self.param_groups[0]
        told = state["param_groups"][0]
        group |= {name: told[name] for name in group if name != "params"}
        group["betas"] = tuple(group["betas"])
        self.state = {}
        for index, values in state["state"].items():
            parameter = group["params"][int(index)]
            own = self._state(parameter)
            own["step"].copy_(torch.as_tensor(values["step"]))
            for name in MOMENTS:
                # laid out as the parameter is, which a fused step takes for granted
                own[name].copy_(values[name])


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

    def __init__(self, base: Optimizer, every: int, alpha: float) -> None:
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
            fast, slow = shards.local(fast), shards.local(self.slow)
            torch._foreach_lerp_(slow, fast, self.alpha)
            torch._foreach_copy_(fast, slow)

    def state_dict(self) -> dict[str, Any]:
        return {"base": self.base.state_dict(), "count": self.count, "slow": self.slow}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.base.load_state_dict(state["base"])
        self.param_groups = self.base.param_groups
        self.count = state["count"]
        torch._foreach_copy_(shards.local(self.slow), shards.local(state["slow"]))


def _adam(params: list[Tensor], config: OptimizerConfig, rate: float) -> Adam:
    return Adam(params, rate, (config.beta1, config.beta2), config.epsilon, config.weight_decay)


def _adamw(params: list[Tensor], config: OptimizerConfig, rate: float) -> Adam:
    betas = (config.beta1, config.beta2)
    return Adam(params, rate, betas, config.epsilon, config.weight_decay, decoupled=True)


def _sgd(params: list[Tensor], config: OptimizerConfig, rate: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(params, rate, config.momentum, weight_decay=config.weight_decay)


def _rmsprop(params: list[Tensor], config: OptimizerConfig, rate: float) -> torch.optim.Optimizer:
    return torch.optim.RMSprop(params, rate, config.beta2, config.epsilon, config.weight_decay, config.momentum)


def _optimistic(params: list[Tensor], config: OptimizerConfig, rate: float) -> torch.optim.Optimizer:
    return OptimisticAdam(params, rate, (config.beta1, config.beta2), config.epsilon)


OPTIMIZERS: dict[str, Callable[[list[Tensor], OptimizerConfig, float], Optimizer]] = {
    "adam": _adam,
    "adamw": _adamw,
    "sgd": _sgd,
    "rmsprop": _rmsprop,
    "optimistic-adam": _optimistic,
}


def momentum(config: OptimizerConfig) -> float:
    """The momentum that ``config`` plans: beta1 of Adam and its kin, the plain one of others."""
    return config.momentum if config.name in ("sgd", "rmsprop") else config.beta1


def build_optimizer(params: Iterable[Tensor], config: OptimizerConfig) -> Optimizer:
    """The optimizer that ``config`` names over ``params``; the loop sets its rate from the control every round."""
    if config.name not in OPTIMIZERS:
        raise unknown("optimizer", config.name, OPTIMIZERS)
    base = OPTIMIZERS[config.name](list(params), config, config.learning_rate.value)
    return Lookahead(base, config.lookahead_every, config.lookahead_alpha) if config.lookahead_every else base
