"""The variants of the papers' tables, one line each: states, networks, recursion and halting."""

import dataclasses

from trm_jax.models import recursion as r

ONE_NETWORK = ("network", "network")
TWO_NETWORKS = ("z_network", "y_network")


@dataclasses.dataclass(frozen=True)
class Variant:
    """How a model recurses and halts.

    Attributes:
      states: names of the latents; "z*" stands for z1, ..., zn. The heads read the first one.
      networks: names of the networks that update z and y.
      recursion: updates the latents once.
      gradient: applies the recursion T times and decides which updates have a gradient.
      compares: whether to halt if the halt logit exceeds the continue logit (HRM) instead of 0.
      continue_loss: whether the continue logit is trained, by HRM's Q-learning; costs a further
        forward pass.
    """

    states: tuple[str, ...] = ("y", "z")
    networks: tuple[str, str] = ONE_NETWORK
    recursion: r.Recursion = r.latent_recursion
    gradient: r.Gradient = r.last_recursion
    compares: bool = False
    continue_loss: bool = False

    def state_names(self, n: int) -> tuple[str, ...]:
        """Names of the latents of a model with n latent updates."""
        many = tuple(f"z{i + 1}" for i in range(n))
        return tuple(name for s in self.states for name in (many if s == "z*" else (s,)))

    @property
    def recurses(self) -> bool:
        """Whether the model depends on T and n."""
        return self.gradient is not r.single_pass

    def updates(self, T: int, n: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Number of updates of (z, y) in a supervision step, and of those with gradient."""
        if not self.recurses:
            return (0, 1), (0, 1)
        return (T * n, T), (1 if self.gradient is r.last_updates else n, 1)


VARIANTS = {
    # TRM paper, figure 3
    "trm": Variant(),
    # table 1: "with ACT" of HRM. The published code for this row fails: it unpacks five values
    # where its model returns three. Here it is HRM's halting with TRM's recursion.
    "trm_continue": Variant(compares=True, continue_loss=True),
    # table 1: "with separate f_H, f_L"
    "trm_two_networks": Variant(networks=TWO_NETWORKS),
    # table 1: "with 1-step gradient"
    "trm_one_step": Variant(gradient=r.last_updates),
    # table 2: "single z"
    "trm_single_z": Variant(states=("z",), recursion=r.single_recursion),
    # table 2: "multi-scale z"
    "trm_multi_z": Variant(states=("y", "z*"), recursion=r.multi_scale_recursion),
    # HRM paper, arXiv 2506.21734
    "hrm": Variant(
        networks=TWO_NETWORKS, gradient=r.last_updates, compares=True, continue_loss=True
    ),
    # HRM paper's baseline. As published it halts by a continue logit that is never trained.
    "transformer": Variant(
        states=("y",), recursion=r.direct_prediction, gradient=r.single_pass, compares=True
    ),
}
