"""The options of a network, with its family's defaults filled in, as makers of layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn
from torch.nn.utils import parametrizations

from steadygan.config import NetworkConfig
from steadygan.errors import SteadyganError, unknown
from steadygan.networks.activations import ACTIVATIONS, gain
from steadygan.networks.initialisations import INITIALISATIONS, fans, weighted_layers
from steadygan.networks.layers import Dropout, MinibatchStd, Noise
from steadygan.networks.normalisations import NORMALISATIONS, SHIFTS_ITSELF

WIDTH_LIMIT = 65_536


@dataclass(frozen=True)
class Options:
    """Names that are known to be valid, and what they stand for."""

    activation: str
    normalisation: str
    initialisation: str
    spectral_norm: bool
    dropout: float
    noise: float
    minibatch_std: bool

    def activate(self) -> nn.Module:
        """A new activation."""
        return ACTIVATIONS[self.activation]()

    def normalise(self, channels: int, *, vector: bool = False) -> nn.Module:
        """A new normalisation of maps, or of vectors."""
        return NORMALISATIONS[self.normalisation](channels, vector)

    def after(self, channels: int, *, normalised: bool = True, vector: bool = False) -> list[nn.Module]:
        """What follows a hidden layer: normalisation, activation, dropout, noise, each where asked for."""
        layers: list[nn.Module] = []
        if normalised and self.normalisation != "none":
            layers.append(self.normalise(channels, vector=vector))
        return [*layers, self.activate(), *self.disturb()]

    def disturb(self) -> list[nn.Module]:
        """Dropout and noise, each where asked for."""
        dropout = [Dropout(self.dropout)] if self.dropout else []
        return [*dropout, Noise(self.noise)] if self.noise else [*dropout]

    def statistic_tail(self, width: int) -> list[nn.Module]:
        """A channel of minibatch standard deviation and a convolution that takes it in, where asked for."""
        if not self.minibatch_std:
            return []
        return [MinibatchStd(), nn.Conv2d(width + 1, width, 3, padding=1), self.activate()]

    @property
    def bias(self) -> bool:
        """Whether a layer before the normalisation has use for a bias."""
        return self.normalisation not in SHIFTS_ITSELF

    @property
    def virtual(self) -> bool:
        """Whether the network needs a reference batch."""
        return self.normalisation == "virtual-batch"

    def finish(self, module: nn.Module) -> None:
        """Initialise a built network, then put spectral normalisation on it where asked for."""
        INITIALISATIONS[self.initialisation](module, self.activation)
        if self.spectral_norm:
            spectral_normalise(module, self.activation)


def resolve(
    config: NetworkConfig,
    *,
    activation: str,
    normalisation: str,
    initialisation: str,
    spectral_norm: bool = False,
    maxout: bool = False,
) -> Options:
    """The config's options, with the family's own where the config has None.

    Raises:
        SteadyganError: a name that is in no table, or a combination that cannot work.
    """
    options = Options(
        activation=_known("activation", config.activation or activation, ACTIVATIONS),
        normalisation=_known("normalisation", config.normalisation or normalisation, NORMALISATIONS),
        initialisation=_known("initialisation", config.initialisation or initialisation, INITIALISATIONS),
        spectral_norm=spectral_norm if config.spectral_norm is None else config.spectral_norm,
        dropout=config.dropout,
        noise=config.noise,
        minibatch_std=config.minibatch_std,
    )
    if options.activation == "maxout" and not maxout:
        raise SteadyganError(f"activation 'maxout' does not fit network {config.name!r}", "use it with network 'mlp'")
    if options.virtual and options.minibatch_std:
        raise SteadyganError(
            "normalisation 'virtual-batch' and minibatch_std would mix the reference batch into the statistic",
            "choose one of the two",
        )
    return options


def hidden_widths(config: NetworkConfig) -> list[int]:
    """The widths of fully connected layers that the settings name; none where they name none.

    Raises:
        SteadyganError: a width outside 1 to 65,536.
    """
    widths = list(config.hidden or ())
    for width in widths:
        if not 1 <= width <= WIDTH_LIMIT:
            raise SteadyganError(f"hidden width {width} is out of range", f"choose from 1 to {WIDTH_LIMIT}")
    return widths


def _known(kind: str, name: str, table: Mapping[str, object]) -> str:
    if name not in table:
        raise unknown(kind, name, table)
    return name


def spectral_normalise(module: nn.Module, activation: str) -> None:
    """Divide every linear and convolutional weight by its largest singular value (Miyato et al. 2018).

    One power iteration at each use in train mode, none in eval mode; the vectors are buffers, so a state_dict
    carries them. A weight that starts at 0 has no direction to divide by and starts at He's instead.
    """
    for layer in weighted_layers(module):
        if not layer.weight.any():
            nn.init.normal_(layer.weight, 0.0, gain(activation) / fans(layer)[0] ** 0.5)
        parametrizations.spectral_norm(layer)
    for table in [part for part in module.modules() if isinstance(part, nn.Embedding)]:
        parametrizations.spectral_norm(table)
