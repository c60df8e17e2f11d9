"""Typed settings of a run: what stands in ``config.json``.

Names (of losses, networks, games, ...) stay names here; ``session.py`` turns them into objects.
Every model refuses unknown keys, so a misspelt setting is an error and never silently ignored.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

FORMAT = 1
"""Version of the run folder's settings; raised when an old file can no longer be read as it stands."""


class Settings(BaseModel):
    """Base of all settings: unknown keys are errors, values are checked also on assignment."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, allow_inf_nan=False)


class ScheduleConfig(Settings):
    """A value over the clock ``images_seen``; a plain number stands for a constant one.

    ``constant``: ``value``. ``linear`` and ``cosine``: from ``value`` to ``end`` between ``begin`` and
    ``finish`` images (``finish`` 0: the end of the run). ``step``: ``value * factor ** (images_seen // every)``.
    ``warm_up`` images at the start rise linearly from 0 for every kind.
    """

    kind: Literal["constant", "linear", "cosine", "step"] = "constant"
    value: float
    end: float = 0.0
    begin: int = Field(0, ge=0)
    finish: int = Field(0, ge=0)
    factor: float = Field(0.5, gt=0)
    every: int = Field(1_000_000, ge=1)
    warm_up: int = Field(0, ge=0)


def _as_schedule(value: Any) -> Any:
    return {"value": value} if isinstance(value, (int, float)) and not isinstance(value, bool) else value


Scheduled = Annotated[ScheduleConfig, BeforeValidator(_as_schedule)]
"""A schedule, or a plain number for a constant one."""


def constant(value: float) -> ScheduleConfig:
    """A schedule that never changes."""
    return ScheduleConfig(value=value)


class DataConfig(Settings):
    """Where the real samples come from and how they are brought to one shape."""

    source: str = "digits"
    image_size: tuple[int, int] | None = None
    """Height and width in pixels; None: chosen from the data."""
    channels: int | None = Field(None, ge=1, le=64)
    """None: as the data has it."""
    fit: Literal["crop", "pad", "stretch"] = "crop"
    """How an image of another aspect ratio is brought to ``image_size``."""
    held_out: float = Field(0.05, ge=0.0, lt=1.0)
    """Share of the set kept away from training, chosen by content hash."""
    split: Literal["train", "test", "all"] = "train"
    """Which canonical part of a built-in set."""
    max_bad: float = Field(0.1, ge=0.0, le=1.0)
    """Largest share of unreadable files that is still accepted."""
    flip: bool = False
    """Mirror half of the real images left to right (doubles the data where mirroring keeps the meaning)."""
    folder: str | None = None
    """Where canonical files (MNIST, CIFAR-10, ...) lie; None: ``$STEADYGAN_DATA``, then the cache folder."""
    download: bool = True
    """Whether canonical files that are missing may be downloaded."""
    label_field: str | None = None
    """Which field of a shard's ``.json`` is the class, dots between levels; None: ``.cls``, else ``label``."""
    domains: tuple[str, ...] = ()
    """Show the images in several domains, each image in one of them; its label is then the domain's number."""


class LatentConfig(Settings):
    """The generator's random input."""

    size: int = Field(128, ge=1, le=4096)
    distribution: Literal["normal", "uniform", "sphere"] = "normal"
    """``normal``: N(0, I); ``uniform``: U(-1, 1); ``sphere``: normal scaled to length sqrt(size)."""


class NetworkConfig(Settings):
    """A network by name and its options; None leaves an option to the network's own family."""

    name: str
    """A name in the table of networks, or ``module:function``."""
    capacity: int = Field(32, ge=1, le=1024)
    """Base width: channels at full resolution (convolutions) or a factor on the hidden widths (``mlp``)."""
    depth: int | None = Field(None, ge=1, le=64)
    """Blocks per resolution (convolutions) or hidden layers (``mlp``)."""
    hidden: tuple[int, ...] | None = None
    """Widths of fully connected layers: all of an ``mlp``, or those of a ``dcgan`` between its maps and its ends."""
    activation: str | None = None
    normalisation: str | None = None
    initialisation: str | None = None
    spectral_norm: bool | None = None
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    noise: float = Field(0.0, ge=0.0)
    """Standard deviation of Gaussian noise on every hidden layer's values, while training."""
    minibatch_std: bool = False
    minibatch_discrimination: bool = False
    output: Literal["tanh", "leaky-tanh", "linear"] | None = None
    conditional: bool = False
    """Takes class labels."""
    condition: Literal["projection", "concatenation"] = "projection"
    """How a conditional discriminator takes them: as a direction in its features, or as maps beside the image."""
    outputs: int = Field(0, ge=0, le=65_536)
    """Values that a discriminator reads off its features besides the logit: classes, codes; 0: none."""
    outputs_hidden: int = Field(0, ge=0, le=65_536)
    """Width of a layer of their own between the features and these values; 0: none."""
    tied: bool = False
    """The logit is the log of the summed exponentials of the outputs (Salimans et al. 2016) instead of its own."""
    outputs_of: Literal["reals", "fakes"] = "reals"
    """What the outputs tell apart where the logit is tied to them: with those of fakes, high ones speak for a fake."""
    extra: dict[str, Any] = {}
    """Handed on to a network from outside the package."""


class OptimizerConfig(Settings):
    """How a player takes its steps."""

    name: str = "adam"
    learning_rate: Scheduled = constant(2e-4)
    beta1: float = Field(0.5, ge=0.0, lt=1.0)
    beta2: float = Field(0.999, ge=0.0, lt=1.0)
    epsilon: float = Field(1e-8, gt=0.0)
    momentum: float = Field(0.0, ge=0.0, lt=1.0)
    weight_decay: float = Field(0.0, ge=0.0)
    lookahead_every: int = Field(0, ge=0)
    """k of Lookahead-minimax; 0: off."""
    lookahead_alpha: float = Field(0.5, gt=0.0, le=1.0)


class PlayerConfig(Settings):
    """One player: its network, its optimizer and how its gradient is treated."""

    network: NetworkConfig
    optimizer: OptimizerConfig = OptimizerConfig()
    steps: int = Field(1, ge=1, le=100)
    """Steps a round, each on a batch of its own."""
    clip_norm: Scheduled = constant(0.0)
    """Largest global gradient norm; 0: no clipping."""
    normalise_gradient: bool = False
    """Divide the gradient by its global norm."""
    weight_penalties: dict[str, Scheduled] = {}
    """Weight of each penalty on the parameters, by name (``l1``, ``l2``, ``orthogonal``)."""
    historical_averaging: Scheduled = constant(0.0)
    sharded: bool = False
    """Deal its parameters, gradients, moments and average to the processes, for networks that outgrow a device."""


class PenaltyConfig(Settings):
    """A gradient-based penalty on the discriminator."""

    weight: Scheduled = constant(1.0)
    every: int = Field(1, ge=1, le=1000)
    """Lazy: applied every that many rounds with ``weight * every``."""


class AugmentationConfig(Settings):
    """Augmentation of reals and fakes before the discriminator, inside the round."""

    policy: tuple[str, ...] = ()
    """Names in the table of augmentations, played in order; empty: none."""
    strength: Scheduled = constant(0.0)
    """Probability that each augmentation is applied to a sample, 0 to 1."""
    adaptive: bool = False
    """Let ADA turn the strength."""
    target: float = Field(0.6, gt=0.0, lt=1.0)
    """ADA's target for its overfitting sign."""
    speed: int = Field(500_000, ge=1)
    """Images in which ADA may move the strength from 0 to 1."""


class AverageConfig(Settings):
    """The averaged generator (EMA of the weights) that is sampled and saved."""

    half_life: Scheduled = constant(10_000)
    """In images; 0: no averaging, the average is a copy."""
    ramp_up: float = Field(0.05, ge=0.0)
    """The half-life is at most this share of ``images_seen``; 0: no ramp."""


class HealthConfig(Settings):
    """How the game is watched, and what may be done about what is found."""

    mode: Literal["mend", "watch", "off"] = "mend"
    """``mend``: tell and treat; ``watch``: tell only, and leave the game's bits alone; ``off``: neither."""
    every: int = Field(0, ge=0)
    """Images between check-ups, at measured rounds; 0: planned from the length."""
    count: int = Field(256, ge=16, le=4096)
    """Fakes, and reals at most, that a check-up looks at."""
    without: tuple[str, ...] = ()
    """Interventions that must not be used, by name."""
    rollbacks: int = Field(4, ge=0, le=100)
    """Most rollbacks of a run."""
    replay: float = Field(1.0, ge=0.0)
    """Share of the run's length that rollbacks may have played again altogether."""
    stop_when_finished: bool = False
    """End the run where there is no progress left, instead of telling so only."""


class RunConfig(Settings):
    """Everything that determines a run: the same config, data and machine give the same bits."""

    format: int = FORMAT
    recipe: str = "custom"
    why: str = ""
    """Why this recipe and size were chosen, in words."""
    game: str = "adversarial"
    options: dict[str, Any] = {}
    """Settings that only this game has; the page on families lists them."""
    data: DataConfig = DataConfig()
    shape: tuple[int, int, int] | None = None
    """Channels, height, width of a sample; None: taken from the data when the run is planned."""
    classes: int = Field(0, ge=0)
    latent: LatentConfig = LatentConfig()
    players: dict[str, PlayerConfig]
    loss: str = "non-saturating"
    label_smoothing: float = Field(0.0, ge=0.0, lt=0.5)
    """Target of reals is ``1 - label_smoothing``."""
    fake_smoothing: float = Field(0.0, ge=0.0, lt=0.5)
    """Target of fakes is ``fake_smoothing`` (two-sided smoothing)."""
    label_flipping: float = Field(0.0, ge=0.0, lt=0.5)
    """Probability that a real and a fake swap places before the discriminator."""
    penalties: dict[str, PenaltyConfig] = {}
    feature_matching: Scheduled = constant(0.0)
    spectrum_matching: Scheduled = constant(0.0)
    """How fast forces grow that tie the generator to the spread and the power of every frequency of the reals."""
    lecam: Scheduled = constant(0.0)
    weight_clip: Scheduled = constant(0.0)
    """Discriminator weights are clipped to [-c, c] after its step; 0: off."""
    instance_noise: Scheduled = constant(0.0)
    """Standard deviation of Gaussian noise on reals and fakes, in units of the range [-1, 1]."""
    top_k: Scheduled = constant(1.0)
    """Share of a batch's fakes, the most convincing ones, that teach the generator."""
    packing: int = Field(1, ge=1, le=16)
    share_fakes: bool = True
    """The generator learns from the very fakes that the discriminator has just seen: one forward pass a round less."""
    augmentation: AugmentationConfig = AugmentationConfig()
    average: AverageConfig = AverageConfig()
    images: int = Field(100_000, ge=1)
    """Length of the run in real images drawn: a batch for every step of the player with most steps a round."""
    batch: int = Field(64, ge=1, le=65_536)
    accumulate: int = Field(1, ge=1, le=1024)
    """Micro-batches a step; ``batch`` must be a multiple."""
    seed: int = Field(0, ge=0, lt=2**63)
    device: str = "auto"
    precision: Literal["auto", "float32", "float64", "bfloat16"] = "auto"
    deterministic: bool = True
    channels_last: bool = True
    threads: int = Field(0, ge=0, le=1024)
    """CPU threads; 0: chosen when the run is planned, then fixed, since results depend on it."""
    record_every: int = Field(0, ge=0)
    """Images between records; 0: planned from the length."""
    sample_every: int = Field(0, ge=0)
    """Images between sample grids; 0: planned from the length."""
    sample_count: int = Field(64, ge=1, le=4096)
    checkpoint_every: int = Field(0, ge=0)
    """Images between checkpoints; 0: planned from the length."""
    keep: int = Field(3, ge=1)
    """Newest checkpoints kept."""
    milestones: int = Field(0, ge=0)
    """Checkpoints at multiples of this many images are kept for ever; 0: none."""
    tensorboard: bool = False
    """Hand records and grids on to TensorBoard; needs the extra of that name, as the next two do."""
    wandb: bool = False
    """Hand them on to Weights & Biases, on the disk unless ``WANDB_MODE`` says otherwise."""
    mlflow: bool = False
    """Hand them on to MLflow, on the disk unless ``MLFLOW_TRACKING_URI`` names a server."""
    health: HealthConfig = HealthConfig()
    sicken: str = ""
    """An illness to put into the run on purpose: ``NAME`` or ``NAME:SEVERITY``, for teaching and for benchmarks."""
    evaluate_every: int = Field(0, ge=0)
    """Images between measurements of the averaged generator; 0: none."""
    evaluate_metrics: tuple[str, ...] = ("fid", "kid")
    evaluate_features: str = "judge"
    """The feature network of these measurements, as `steadygan evaluate --features` takes it."""
    evaluate_count: int = Field(1000, ge=0)
    """Fakes that are measured each time; 0: half as many as there are reals, at most 10,000."""

    @property
    def sharded(self) -> tuple[str, ...]:
        """Players whose parameters are dealt to the processes, where there are several."""
        return tuple(name for name, player in self.players.items() if player.sharded)

    @model_validator(mode="after")
    def _consistent(self) -> RunConfig:
        if self.batch % self.accumulate:
            raise ValueError(f"batch {self.batch} is not a multiple of accumulate {self.accumulate}")
        if (self.batch // self.accumulate) % self.packing:
            raise ValueError(f"micro-batch {self.batch // self.accumulate} is not a multiple of packing {self.packing}")
        return self
