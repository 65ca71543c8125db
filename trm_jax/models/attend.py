"""Implementations of attention over all tokens; they compute the same and differ in memory.

`plain` stores the scores of every pair of tokens, twice for the backward pass; with a maze's 916
tokens these are most of a step's memory. The other implementations never store them.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.experimental.pallas.ops.tpu import flash_attention as tpu

from trm_jax.core.numerics import wide
from trm_jax.models.kernels.target import is_recent, platform
from trm_jax.models.settings import PLAIN, ModelConfig

LARGE = 1 << 30
"""Bytes of scores from which "auto" avoids `plain` on a CPU or TPU."""
CHUNK = 128
"""Number of queries that `chunked` processes at a time."""
TPU_BLOCK = 128
MAX_HEAD_WIDTH = 128


def plain(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
    """softmax(q k^T / sqrt(head_width)) v, as written.

    `jax.nn.dot_product_attention` computes its softmax in float32 even for float64 inputs, which
    would hide errors in the parity tests; for other dtypes a test holds the two equal.
    """
    compute = wide(q.dtype)
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k, preferred_element_type=compute)
    weights = jax.nn.softmax(scores * jnp.asarray(q.shape[-1] ** -0.5, compute), axis=-1)
    return jnp.einsum("bhqk,bkhd->bqhd", weights.astype(q.dtype), v)


def chunked(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
    """`plain` on chunks of the queries, recomputed in the backward pass."""
    batch, tokens, heads, width = q.shape
    more = -tokens % CHUNK
    parts = jnp.pad(q, ((0, 0), (0, more), (0, 0), (0, 0)))
    parts = parts.reshape(batch, -1, CHUNK, heads, width).swapaxes(0, 1)
    answer = jax.checkpoint(lambda part: plain(part, k, v))
    mixed = jax.lax.map(answer, parts).swapaxes(0, 1)
    return mixed.reshape(batch, -1, heads, width)[:, :tokens]


def even(h: jax.Array) -> jax.Array:
    """Pads [B, L, ...] to an even number of tokens, which cuDNN requires."""
    return jnp.pad(h, ((0, 0), (0, h.shape[1] % 2), *[(0, 0)] * (h.ndim - 2)))


def cudnn(q: jax.Array, k: jax.Array, v: jax.Array, tokens: int) -> jax.Array:
    """Attention by cuDNN; L may be `tokens` or one more, and so is the result's."""
    q, k, v = even(q), even(k), even(v)
    if q.shape[1] == tokens:
        return jax.nn.dot_product_attention(q, k, v, implementation="cudnn")
    lengths = jnp.full((q.shape[0],), tokens, jnp.int32)
    return jax.nn.dot_product_attention(
        q, k, v, key_value_seq_lengths=lengths, implementation="cudnn"
    )


def flash(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
    """Pallas attention kernel for TPUs; blocks are padded with masked tokens."""
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
    """Name of the implementation to use on the devices that the program is traced for.

    If `config.attention` names one that the devices lack, it counts as "auto", so that a run can be
    resumed and evaluated on any device.

    Args:
      config: config of the model.
      batch: number of examples on one device.
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
    """Whether cuDNN supports these heads; heads wider than MAX_HEAD_WIDTH only on some GPUs."""
    head_width = c.width // c.heads
    fits = c.dtype == "bfloat16" and head_width % 8 == 0 and head_width <= MAX_HEAD_WIDTH
    return fits and platform() == "gpu" and is_recent()


def attend(q: jax.Array, k: jax.Array, v: jax.Array, tokens: int, name: str) -> jax.Array:
    """Attention of every token to every token, softmax(q k^T / sqrt(head_width)) v.

    Args:
      q: queries [B, L, heads, head_width].
      k: keys, same shape.
      v: values, same shape.
      tokens: number of tokens; with cuDNN, L may be one more, and the last token is masked.
      name: "cudnn" or one of IMPLEMENTATIONS.

    Returns:
      Array of q's dtype, [B, L, heads, head_width]; with cuDNN L is even. The softmax is computed
      in `wide`.
    """
    return cudnn(q, k, v, tokens) if name == "cudnn" else IMPLEMENTATIONS[name](q, k, v)
