"""The published algorithm in plain NumPy, to check the package's models.

It reads arrays by their published names (below `model.inner.`) in torch's layout, [out, in], and
shares no code with the layers and models of this package.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Floats = NDArray[np.floating]
States = tuple[Floats, ...]

ROTARY_BASE = 10_000.0
EPSILON = 1e-5


class Transcription:
    """A published model; the names of its arrays determine its kind of recursion.

    States are in the order H (the answer), then L or L1, L2, ...; a model with a single state has
    L only, the direct-prediction baseline H only.
    """

    def __init__(
        self,
        arrays: Mapping[str, NDArray[Any]],
        *,
        heads: int,
        T: int,
        n: int,
        prefix_tokens: int,
        rotary: bool,
        dtype: DTypeLike = np.float64,
    ) -> None:
        """Takes the arrays, and the settings that they do not determine.

        Args:
          arrays: arrays by their names below `model.inner.`, in torch's layout; any float dtype.
          heads: number of attention heads; not used by token mixing.
          T: recursions per supervision step; not used by the direct-prediction baseline.
          n: latent updates per recursion; not used by the direct-prediction baseline.
          prefix_tokens: number of prefix tokens, P.
          rotary: whether attention uses rotary position embeddings.
          dtype: dtype of the computation.
        """
        self.arrays = {name: np.asarray(array).astype(dtype) for name, array in arrays.items()}
        self.heads, self.T, self.n, self.prefix_tokens = heads, T, n, prefix_tokens
        self.rotary, self.dtype = rotary, np.dtype(dtype)
        self.width = self.arrays["embed_tokens.embedding_weight"].shape[1]
        levels = {name.partition(".")[0] for name in self.arrays}
        self.z_level = "L_level" if "L_level" in levels else "H_level"
        self.y_level = "H_level" if "H_level" in levels else "L_level"
        inits = [name.removesuffix("_init") for name in self.arrays if name.endswith("_init")]
        self.state_names = sorted(inits, key=lambda name: (name[0], int(name[1:] or 0)))

    def embed(self, inputs: NDArray[np.integer], ids: NDArray[np.integer]) -> Floats:
        """The embedded question, sqrt(D) [prefix; tokens], with learned positions if it has some.

        Args:
          inputs: [B, S], token ids.
          ids: [B], rows of the puzzle table.

        Returns:
          [B, L, D].
        """
        x = self.arrays["embed_tokens.embedding_weight"][inputs]
        if self.prefix_tokens:
            prefix = np.zeros((len(x), self.prefix_tokens * self.width), self.dtype)
            rows = self.arrays["puzzle_emb.weights"][ids]
            prefix[:, : rows.shape[1]] = rows
            x = np.concatenate([prefix.reshape(len(x), -1, self.width), x], axis=1)
        if "embed_pos.embedding_weight" in self.arrays:
            x = (x + self.arrays["embed_pos.embedding_weight"]) / self._root(2)
        return x * self._root(self.width)

    def block(self, level: str, i: int, h: Floats) -> Floats:
        """Block i of `level` ("L_level" or "H_level") on h [B, L, D]: mixing, SwiGLU, post-norm."""
        layer = f"{level}.layers.{i}"
        if f"{layer}.mlp_t.down_proj.weight" in self.arrays:
            tokens_last = h.swapaxes(1, 2)
            mixed = _normalised(tokens_last + self._swiglu(f"{layer}.mlp_t", tokens_last))
            h = np.ascontiguousarray(mixed.swapaxes(1, 2))
        else:
            h = _normalised(h + self._attention(f"{layer}.self_attn", h))
        return _normalised(h + self._swiglu(f"{layer}.mlp", h))

    def network(self, level: str, h: Floats) -> Floats:
        """All blocks of `level` on h [B, L, D]."""
        i = 0
        while f"{level}.layers.{i}.mlp.down_proj.weight" in self.arrays:
            h = self.block(level, i, h)
            i += 1
        return h

    def recursion(self, states: States, x: Floats) -> States:
        """One recursion: n updates of z, then one of y, given the embedded question x [B, L, D]."""
        if self.state_names == ["H"]:
            return (self.network(self.y_level, states[0] + x),)
        if self.state_names == ["L"]:
            z = states[0]
            for _ in range(self.n):
                z = self.network(self.z_level, z + x)
            return (self.network(self.z_level, z),)
        y, *zs = states
        for i in range(self.n):
            place = i if len(zs) > 1 else 0
            zs[place] = self.network(self.z_level, sum(zs) + (y + x))
        return self.network(self.y_level, y + sum(zs)), *zs

    def supervision_step(
        self, states: States, inputs: NDArray[np.integer], ids: NDArray[np.integer]
    ) -> tuple[States, Floats, Floats]:
        """One supervision step.

        Args:
          states: each [B, L, D].
          inputs: [B, S], token ids.
          ids: [B], rows of the puzzle table.

        Returns:
          The new states, logits [B, S, V], and halting logits (halt, continue) [B, 2].
        """
        x = self.embed(inputs, ids)
        for _ in range(1 if self.state_names == ["H"] else self.T):
            states = self.recursion(states, x)
        logits = self._linear("lm_head", states[0][:, self.prefix_tokens :])
        halt = self._linear("q_head", states[0][:, 0]) + self.arrays["q_head.bias"]
        return states, logits, halt

    def start(self, batch: int, tokens: int) -> States:
        """The fixed initial vectors, each [batch, tokens, D]."""
        shape = (batch, tokens, self.width)
        return tuple(np.broadcast_to(self.arrays[f"{s}_init"], shape) for s in self.state_names)

    def rollout(
        self, inputs: NDArray[np.integer], ids: NDArray[np.integer], steps: int
    ) -> tuple[Floats, Floats]:
        """Runs supervision steps from the initial vectors.

        Args:
          inputs: [B, S], token ids.
          ids: [B], rows of the puzzle table.
          steps: number of supervision steps.

        Returns:
          Logits [steps, B, S, V] and halting logits [steps, B, 2].
        """
        states = self.start(len(inputs), self.prefix_tokens + inputs.shape[1])
        logits, halts = [], []
        for _ in range(steps):
            states, *said = self.supervision_step(states, inputs, ids)
            logits.append(said[0])
            halts.append(said[1])
        return np.stack(logits), np.stack(halts)

    def _root(self, number: int) -> Any:
        return np.sqrt(np.asarray(number, self.dtype))

    def _linear(self, name: str, h: Floats) -> Floats:
        weight = self.arrays[f"{name}.weight"]
        # one flat product: NumPy takes several times as long for a stack of small ones
        return (h.reshape(-1, h.shape[-1]) @ weight.T).reshape(*h.shape[:-1], len(weight))

    def _swiglu(self, name: str, h: Floats) -> Floats:
        gate, up = np.split(self._linear(f"{name}.gate_up_proj", h), 2, axis=-1)
        # x * sigmoid(x) by tanh, since an exponential would overflow
        return self._linear(f"{name}.down_proj", gate * (1 + np.tanh(gate / 2)) / 2 * up)

    def _attention(self, name: str, h: Floats) -> Floats:
        batch, tokens, width = h.shape
        qkv = self._linear(f"{name}.qkv_proj", h)
        by_head = qkv.reshape(batch, tokens, 3, self.heads, width // self.heads)
        q, k, v = by_head.transpose(2, 0, 3, 1, 4)  # each [B, heads, L, head width]
        if self.rotary:
            q, k = self._turned(q), self._turned(k)
        scores = q @ k.swapaxes(-1, -2) / self._root(q.shape[-1])
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        mixed = weights / weights.sum(axis=-1, keepdims=True) @ v
        return self._linear(f"{name}.o_proj", mixed.swapaxes(1, 2).reshape(h.shape))

    def _turned(self, q: Floats) -> Floats:
        """Rotates the plane of channels i and i + half by the angle position / base^(i / half)."""
        half = q.shape[-1] // 2
        rates = ROTARY_BASE ** (-np.arange(half) / half)
        angles = np.arange(q.shape[-2])[:, None] * rates
        cos, sin = np.cos(angles).astype(self.dtype), np.sin(angles).astype(self.dtype)
        a, b = q[..., :half], q[..., half:]
        return np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)


def _normalised(h: Floats) -> Floats:
    """Normalises the root mean square over the last axis to 1."""
    square = np.mean(np.square(h), axis=-1, keepdims=True)
    return h / np.sqrt(square + np.asarray(EPSILON, h.dtype))
