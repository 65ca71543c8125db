"""`trm serve`."""

import sys
from collections.abc import Sequence

from absl import flags

from trm_jax.commands import chain_flags, common, model_flags
from trm_jax.commands.search_flags import refuse
from trm_jax.core.errors import EXIT_DONE, UserError
from trm_jax.core.memory import enough_memory
from trm_jax.infer.chain_search import Limits
from trm_jax.infer.halting import Halt
from trm_jax.models.lattice.lattice_model import LatticeModel
from trm_jax.server.bounds import Bounds
from trm_jax.train.trained import Trained

MISSING = "trm serve needs the extra 'serve'; run `pip install 'trm-jax[serve]'`."


def define(values: flags.FlagValues, _: Sequence[str]) -> None:
    """Adds the flags."""
    model_flags.define(values)
    common.define_checkpoint(values)
    bounds = Bounds()
    host = "Address to listen on; 0.0.0.0 for all interfaces of this machine."
    flags.DEFINE_string("host", "127.0.0.1", host, flag_values=values)
    port = "Port to listen on; 0 for any free port, which is printed."
    flags.DEFINE_integer("port", 8000, port, flag_values=values)
    size = "Number of slots: puzzles (of lattice models, chains) that are computed together."
    flags.DEFINE_integer("batch_size", 32, size, flag_values=values)
    each = (
        "Maximum number of supervision steps or rounds per call of the compiled program; waiting "
    )
    each += "puzzles enter between calls."
    flags.DEFINE_integer("steps_per_call", 4, each, flag_values=values)
    queue = "Maximum number of waiting puzzles; requests beyond it get status 429."
    flags.DEFINE_integer("queue", bounds.queue, queue, flag_values=values)
    time_limit = "Seconds after which a puzzle is reported as unsolved (timed_out)."
    flags.DEFINE_float("time_limit", bounds.seconds, time_limit, flag_values=values)
    puzzles = "Maximum number of puzzles in a request."
    flags.DEFINE_integer("max_puzzles", bounds.puzzles, puzzles, flag_values=values)
    body = "Maximum size of a request's body in KiB."
    flags.DEFINE_integer("max_body", bounds.body_kib, body, flag_values=values)
    above = "Halting probability above which a recursive model stops."
    flags.DEFINE_float("halt_threshold", 0.5, above, flag_values=values)
    chain_flags.define_limits(values)
    flags.DEFINE_integer("seed", 0, "Seed of the search's random numbers.", flag_values=values)


def run(values: flags.FlagValues, rest: Sequence[str]) -> int:
    """Solves puzzles over HTTP, with a web page to try it on.

    Usage:
      trm serve --model NAME | --workdir DIR [--host 127.0.0.1] [--port 8000]

    POST /api/solve takes puzzles as text or JSON and returns JSON. GET / is a page on which to type
    a puzzle and watch how it is solved; /api/info, /api/health, /api/random and /metrics describe
    the server. The puzzles of all requests share one batch: each enters a free slot and leaves when
    it is solved. SIGTERM or Ctrl-C refuses new requests and finishes accepted ones; a second signal
    stops at once.

    Exit codes: 0 stopped by a signal; 2 wrong usage or input, or the port is in use.
    """
    common.refuse_rest(rest)
    model_flags.check(values)
    try:
        from trm_jax.server import listen
        from trm_jax.server.app import make_app
        from trm_jax.server.start import Method, make_service
    except ImportError as error:
        raise UserError(MISSING) from error
    bounds = Bounds(
        queue=values.queue,
        seconds=values.time_limit,
        puzzles=values.max_puzzles,
        body_kib=values.max_body,
    )
    for name in ("batch_size", "steps_per_call"):
        if not 1 <= (value := getattr(values, name)) < 2**16:
            raise UserError(f"--{name} is {value}; give 1 or more, below 65,536.")
    trained = model_flags.load_model(values, values.checkpoint)
    name = values.model or trained.workdir.root.name
    halt, limits = _how(values, trained)
    method = Method(values.batch_size, values.steps_per_call, halt, limits)
    with listen.bind(values.host, values.port) as listening:
        print(f"compiling {name} ...", file=sys.stderr, flush=True)
        with enough_memory("trm serve", "--batch_size"):
            service = make_service(trained, name, method, bounds)
        local = listen.is_local(listening)
        if not local:
            what = "the server has no passwords and no encryption; see docs/how-to/serve.md"
            print(f"--host {values.host} lets others in: {what}", file=sys.stderr)
        print(f"serving {name} on {listen.address(listening)}", flush=True)
        listen.run(make_app(service, local=local), listening, service.engine, bounds)
    print("stopped", file=sys.stderr)
    return EXIT_DONE


def _how(values: flags.FlagValues, trained: Trained) -> tuple[Halt, Limits]:
    """The halting rule and the limits of the search, from the flags.

    Raises:
      UserError: a value is invalid, or a flag is for the other kind of model.
    """
    model = trained.model
    if isinstance(model, LatticeModel):
        refuse(values, ("steps", "halt_threshold"), "is not for lattice models; leave it out")
    else:
        why = f"is for lattice models, and this one's kind is {trained.experiment.model.kind!r}"
        refuse(values, ("passes", "chains", "rounds", "seed"), why)
    halt = Halt(max_steps=common.depth(values, model.config.N), threshold=values.halt_threshold)
    limits = Limits(
        passes=values.passes, chains=values.chains, rounds=values.rounds, seed=values.seed
    )
    return halt, limits
