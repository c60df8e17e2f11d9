"""What the rest of the toolkit may rely on: the two kinds of network and the makers of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor, nn

from steadygan.config import NetworkConfig
from steadygan.errors import SteadyganError
from steadygan.networks.layers import LabelMaps, MinibatchDiscrimination, PlainLinear, by_rows
from steadygan.networks.normalisations import REFERENCE_SIZE, ReferenceBatch
from steadygan.networks.options import Options
from steadygan.networks.sizes import Shape

GeneratorFactory = Callable[[NetworkConfig, Shape, int, int], nn.Module]
"""(settings, (C, H, W), latent size, classes) to a module: latent (N, Z), label (N,) or None to (N, C, H, W)."""

DiscriminatorFactory = Callable[[NetworkConfig, Shape, int], nn.Module]
"""(settings, (C, H, W), classes) to a module: images (N, C, H, W), label (N,) or None to logits (N,)."""

LATENT_LIMIT = 65_536
EMBEDDING_LIMIT = 64


class Body(nn.Module):
    """The part of a network that differs by family: values, and labels for those bodies that use them."""

    def forward(self, values: Tensor, label: Tensor | None) -> Tensor:
        """Generator: (N, Z) to (N, C, H, W); discriminator: (N, C, H, W) to features (N, F)."""
        raise NotImplementedError


class Sequence(Body):
    """Layers in a row, which need no label."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, values: Tensor, label: Tensor | None) -> Tensor:
        """The last layer's output."""
        out: Tensor = self.layers(values)
        return out


LEAK = 0.02
"""Slope that a leaky tanh keeps everywhere."""


def leaky_tanh(values: Tensor) -> Tensor:
    """(1 - LEAK) tanh x + LEAK x: as good as tanh where images live, but a gradient gets through wherever x is.

    Behind tanh a generator that once makes blank pictures gets no gradient any more and stays blank. What lies a
    little beyond [-1, 1] is cut off when samples are drawn.
    """
    return torch.lerp(values.tanh(), values, LEAK)


OUTPUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "leaky-tanh": leaky_tanh,
    "linear": lambda values: values,
}
"""What ends a generator, by name."""


class Generator(nn.Module):
    """Latents to images.

    Args:
        body: (N, Z + E) to (N, C, H, W), where E is the width of the label's embedding or 0.
        latent: Z.
        shape: C, H, W.
        output: name in ``OUTPUTS`` of the function that ends the network.
        embedding: class to vector, for a conditional generator.
        labelled: whether a label is required.
        virtual: keep a reference batch for virtual batch normalisation.
    """

    def __init__(
        self,
        body: Body,
        latent: int,
        shape: Shape,
        *,
        output: str,
        embedding: nn.Embedding | None = None,
        labelled: bool = False,
        virtual: bool = False,
    ) -> None:
        super().__init__()
        self.latent, self.shape, self.output, self.labelled = latent, shape, output, labelled
        self.embedding = embedding
        self.body = body
        self.reference = ReferenceBatch((latent,)) if virtual else None

    def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        """Images (N, C, H, W) of latents (N, Z) and labels (N,); within [-1, 1] behind tanh only.

        Raises:
            SteadyganError: latents of another size, or a missing label.
        """
        values, label = self.entered(latent, label)
        images: Tensor = self.body(values, label)
        if self.reference is not None:
            images = images[REFERENCE_SIZE:]
        return OUTPUTS[self.output](images)

    def entered(self, latent: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """What the body gets: latents (N, Z), the label's embedding beside them where it has one, and labels.

        A reference batch stands before them.

        Raises:
            SteadyganError: latents of another size, or a missing label.
        """
        if latent.ndim != 2 or latent.shape[1] != self.latent:
            raise SteadyganError(
                f"latent of shape {tuple(latent.shape)} does not fit this generator", f"give (N, {self.latent})"
            )
        label = checked_label(label, len(latent), self.labelled, "generator")
        if self.reference is not None:
            latent, label = self.reference.prepend(latent, label)
        values = latent
        if self.embedding is not None and label is not None:
            values = torch.cat([latent, self.embedding(label)], 1)
        return values, label


class Discriminator(nn.Module):
    """Images to logits, by way of features.

    Args:
        body: (N, C, H, W) to (N, F).
        features: F.
        shape: C, H, W.
        options: which extras to build.
        classes: number of classes of a conditional discriminator, 0 for none.
        maps: channels of learned maps by class that the body gets beside the image; 0: labels are projected instead.
        discrimination: add minibatch discrimination before the last layer.
        outputs: values that are read off the features besides the logit.
        outputs_hidden: width of a layer of their own between the features and them; 0: none.
        tied: the logit is log sum exp of the outputs, or its negative where they are kinds of fakes.
    """

    def __init__(
        self,
        body: Body,
        features: int,
        shape: Shape,
        options: Options,
        *,
        classes: int,
        maps: int = 0,
        discrimination: bool,
        outputs: int = 0,
        outputs_hidden: int = 0,
        tied: bool = False,
        outputs_of: str = "reals",
    ) -> None:
        super().__init__()
        self.shape, self.labelled = shape, classes > 0
        self.body = body
        self.discrimination = MinibatchDiscrimination(features) if discrimination else None
        inputs = features + (self.discrimination.kernels if self.discrimination else 0)
        self.score = None if tied else PlainLinear(inputs, 1)
        self.maps = LabelMaps(classes, maps, shape[1:]) if maps else None
        self.projection = nn.Embedding(classes, features) if classes and not maps else None
        if self.projection is not None:
            nn.init.normal_(self.projection.weight, 0.0, features**-0.5)
        if tied and not outputs:
            raise SteadyganError("a tied logit needs outputs to be tied to", "set outputs, or tied=false")
        self.reader = _reader(options, features, outputs, outputs_hidden) if outputs else None
        self.outputs_of = outputs_of
        self.reference = ReferenceBatch((shape[0] + maps, *shape[1:])) if options.virtual else None

    @cached_property
    def by_rows(self) -> bool:
        """Whether reals and fakes may be looked at together, since each row is looked at alone and nothing is kept."""
        return by_rows(self)

    def features(self, images: Tensor, label: Tensor | None = None) -> Tensor:
        """Last hidden features (N, F) of images (N, C, H, W), beside the maps of their labels where it has any.

        Raises:
            SteadyganError: images of another shape, or a missing label.
        """
        if tuple(images.shape[1:]) != self.shape:
            raise SteadyganError(
                f"images of shape {tuple(images.shape)} do not fit this discriminator",
                f"give (N, {', '.join(map(str, self.shape))})",
            )
        if self.maps is not None:
            known = checked_label(label, len(images), True, "discriminator")
            images = self.maps(images, known)
        if self.reference is None:
            plain: Tensor = self.body(images, label)
            return plain
        images, _ = self.reference.prepend(images, None)
        return torch.as_tensor(self.body(images, None))[REFERENCE_SIZE:]

    def head(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        """Logits (N,) of features (N, F): w . f + b, and e_label . f when conditional (Miyato and Koyama 2018).

        Raises:
            SteadyganError: a missing label.
        """
        label = checked_label(label, len(features), self.labelled, "discriminator")
        if self.score is None:
            together = self.read(features).logsumexp(1)
            return together if self.outputs_of == "reals" else -together
        values = features
        if self.discrimination is not None:
            values = torch.cat([features, self.discrimination(features)], 1)
        logits: Tensor = self.score(values).squeeze(1)
        if self.projection is not None:
            logits = logits + (self.projection(label) * features).sum(1)
        return logits

    def read(self, features: Tensor) -> Tensor:
        """The outputs (N, O) of features (N, F): class logits, estimates of codes; unbounded.

        Raises:
            SteadyganError: a discriminator without outputs.
        """
        if self.reader is None:
            raise SteadyganError("this discriminator has no outputs", "set outputs of its network")
        read: Tensor = self.reader(features)
        return read

    def forward(self, images: Tensor, label: Tensor | None = None) -> Tensor:
        """Logits (N,) of images (N, C, H, W) and labels (N,); unbounded."""
        return self.head(self.features(images, label), label)


def _reader(options: Options, features: int, outputs: int, hidden: int) -> nn.Module:
    """From features (N, F) to outputs (N, O). Virtual normalisation is left out: no reference batch comes this far."""
    if not hidden:
        return PlainLinear(features, outputs)
    after = options.after(hidden, normalised=not options.virtual, vector=True)
    return nn.Sequential(nn.Linear(features, hidden), *after, PlainLinear(hidden, outputs))


def checked_label(label: Tensor | None, count: int, needed: bool, player: str) -> Tensor | None:
    """Labels (N,) as long integers; None where they are not needed. Raises SteadyganError where they do not fit."""
    if not needed:
        return None
    if label is None:
        raise SteadyganError(f"the conditional {player} got no label", "give one class number a sample")
    if label.shape != (count,) or label.dtype not in (torch.int64, torch.int32):
        raise SteadyganError(
            f"label of shape {tuple(label.shape)} and type {label.dtype} does not fit {count} samples",
            f"give ({count},) class numbers of type torch.int64",
        )
    return label.long()


def needed_classes(config: NetworkConfig, classes: int) -> int:
    """Classes of a conditional network, 0 of any other.

    Raises:
        SteadyganError: a conditional network and no classes.
    """
    if not config.conditional:
        return 0
    if classes < 1:
        raise SteadyganError(
            f"network {config.name!r} is conditional and the data have no classes", "set conditional to false"
        )
    return classes


def label_maps(config: NetworkConfig, shape: Shape, classes: int) -> int:
    """Maps by class beside the image, where labels are concatenated: enough for one value of each class.

    One map for images, and one for each class beside vectors (D, 1, 1). Paper: Mirza and Osindero 2014.
    """
    if config.condition != "concatenation":
        return 0
    return math.ceil(needed_classes(config, classes) / (shape[1] * shape[2]))


def judged_shape(config: NetworkConfig, shape: Shape, classes: int) -> Shape:
    """The shape of what a discriminator's body gets: the image's, with the maps of the label beside it."""
    return (shape[0] + label_maps(config, shape, classes), *shape[1:])


def label_embedding(config: NetworkConfig, latent: int, classes: int) -> nn.Embedding | None:
    """Class to a vector N(0, I) of at most 64 values, no longer than the latent, for a conditional generator."""
    needed = needed_classes(config, classes)
    return nn.Embedding(needed, min(latent, EMBEDDING_LIMIT)) if needed else None


def check_latent(latent: int) -> int:
    """The latent size itself, or SteadyganError where it is absurd."""
    if not 1 <= latent <= LATENT_LIMIT:
        raise SteadyganError(f"latent size {latent} is out of range", f"choose from 1 to {LATENT_LIMIT}")
    return latent


def finished_generator(
    body: Body, options: Options, latent: int, shape: Shape, output: str, embedding: nn.Embedding | None
) -> Generator:
    """The generator around a body, initialised."""
    labelled = embedding is not None
    generator = Generator(
        body, latent, shape, output=output, embedding=embedding, labelled=labelled, virtual=options.virtual
    )
    options.finish(generator)
    return generator


def finished_discriminator(
    body: Body, features: int, options: Options, shape: Shape, config: NetworkConfig, classes: int
) -> Discriminator:
    """The discriminator around a body, initialised."""
    needed = needed_classes(config, classes)
    discriminator = Discriminator(
        body,
        features,
        shape,
        options,
        classes=needed,
        maps=label_maps(config, shape, classes),
        discrimination=config.minibatch_discrimination,
        outputs=config.outputs,
        outputs_hidden=config.outputs_hidden,
        tied=config.tied,
        outputs_of=config.outputs_of,
    )
    options.finish(discriminator)
    return discriminator
