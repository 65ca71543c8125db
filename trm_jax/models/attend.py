"""Attention over all tokens in several ways that give the same: what is stored tells them apart.

`plain` keeps the scores of every pair of tokens in memory, twice for the backward pass; at a maze's
916 tokens that is most of what a step needs. The others never do.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.experimental.pallas.ops.tpu import flash_attention as tpu

from trm_jax.core.numerics import wide
from trm_jax.models.kernels.target import is_recent, platform
from trm_jax.models.settings import PLAIN, ModelConfig

LARGE = 1 << 30
"""Bytes of scores from which a CPU or a TPU does without them."""
CHUNK = 128
"""Queries that `chunked` takes at a time."""
TPU_BLOCK = 128
MOST_HEAD_WIDTH = 128


def plain(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
    """softmax(q k^T / sqrt(head_width)) v as it is written.

    `jax.nn.dot_product_attention` takes its softmax in float32 even for float64 inputs, which
    would hide errors in the parity tests; for the other dtypes a test holds the two equal.
    """
    compute = wide(q.dtype)
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k, preferred_element_type=compute)
    weights = jax.nn.softmax(scores * jnp.asarray(q.shape[-1] ** -0.5, compute), axis=-1)
    return jnp.einsum("bhqk,bkhd->bqhd", weights.astype(q.dtype), v)


def chunked(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
    """`plain` for some queries at a time, computed again in the backward pass."""
    batch, tokens, heads, width = q.shape
    more = -tokens % CHUNK
    parts = jnp.pad(q, ((0, 0), (0, more), (0, 0), (0, 0)))
    parts = parts.reshape(batch, -1, CHUNK, heads, width).swapaxes(0, 1)
    answer = jax.checkpoint(lambda part: plain(part, k, v))
    mixed = jax.lax.map(answer, parts).swapaxes(0, 1)
    return mixed.reshape(batch, -1, heads, width)[:, :tokens]


def even(h: jax.Array) -> jax.Array:
    """H [B, L, ...] with one more token where L is odd: cuDNN wants an even number."""
    return jnp.pad(h, ((0, 0), (0, h.shape[1] % 2), *[(0, 0)] * (h.ndim - 2)))


def cudnn(q: jax.Array, k: jax.Array, v: jax.Array, tokens: int) -> jax.Array:
    """cuDNN's; L may be one more than `tokens`, and the answer too."""
    q, k, v = even(q), even(k), even(v)
    if q.shape[1] == tokens:
        return jax.nn.dot_product_attention(q, k, v, implementation="cudnn")
    lengths = jnp.full((q.shape[0],), tokens, jnp.int32)
    return jax.nn.dot_product_attention(
        q, k, v, key_value_seq_lengths=lengths, implementation="cudnn"
    )


def flash(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
    """A Pallas kernel for TPUs; blocks are filled up with tokens that nobody sees."""
    tokens, width = q.shape[1], q.shape[-1]
    more = -tokens % TPU_BLOCK
    fill = ((0, 0), (0, 0), (0, more), (0, 0))
    q, k, v = (jnp.pad(a.swapaxes(1, 2), fill) for a in (q, k, v))
    segment = jnp.arange(tokens + more, dtype=jnp.int32) < tokens
    segment = jnp.broadcast_to(segment.astype(jnp.int32)[None], (q.shape[0], tokens + more))
    mixed = tpu.flash_attention(
        q, k, v, segment_ids=tpu.SegmentIds(segment, segment), sm_scale=width**-0.5
    )
    return mixed.swapaxes(1, 2)[:, :tokens]


IMPLEMENTATIONS: dict[str, Callable[[jax.Array, jax.Array, jax.Array], jax.Array]] = {
    "plain": plain,
    "chunked": chunked,
    "flash": flash,
}


def chosen(config: ModelConfig, batch: int) -> str:
    """The implementation that is taken on the devices that the program is for.

    One that they do not have counts as "auto", so that a run goes on, and is evaluated, on any.

    Args:
      config: of the model.
      batch: examples on one device.
    """
    c = config
    has_cudnn, has_flash = _has_cudnn(c), platform() == "tpu" and c.dtype != "float64"
    possible = {"cudnn": has_cudnn, "flash": has_flash, "auto": False}
    if possible.get(c.attention, True):
        return c.attention
    if has_cudnn:
        return "cudnn"
    if not isinstance(batch, int) or 4 * batch * c.heads * c.tokens**2 < LARGE:
        return PLAIN
    return "flash" if has_flash else "chunked"


def _has_cudnn(c: ModelConfig) -> bool:
    """Whether cuDNN takes such heads; wider ones than MOST_HEAD_WIDTH only on some cards."""
    head_width = c.width // c.heads
    fits = c.dtype == "bfloat16" and head_width % 8 == 0 and head_width <= MOST_HEAD_WIDTH
    return fits and platform() == "gpu" and is_recent()


def attend(q: jax.Array, k: jax.Array, v: jax.Array, tokens: int, name: str) -> jax.Array:
    """softmax(q k^T / sqrt(head_width)) v, every token seeing every token.

    Args:
      q: queries [B, L, heads, head_width].
      k: keys, likewise.
      v: values, likewise.
      tokens: how many there are; with cuDNN L may be one more, which nobody sees.
      name: "cudnn" or one of IMPLEMENTATIONS.

    Returns:
      Array of q's dtype, [B, L, heads, head_width] or with cuDNN's one more token. The softmax is
      taken in `wide`.
    """
    return cudnn(q, k, v, tokens) if name == "cudnn" else IMPLEMENTATIONS[name](q, k, v)
