"""The registry of mixers; `mixer.Mixer` is their interface."""

from trm_jax.models.mixers.attention import AttentionMixer
from trm_jax.models.mixers.digits import DigitsMixer
from trm_jax.models.mixers.mixer import MIXERS, Mixer, Published
from trm_jax.models.mixers.mlp import MlpMixer

__all__ = ["MIXERS", "Mixer", "Published"]

MIXERS.register("mlp", MlpMixer())
MIXERS.register("attention", AttentionMixer())
MIXERS.register("digits", DigitsMixer())
