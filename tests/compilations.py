"""What JAX compiles while a block runs."""

import contextlib

import jax


@contextlib.contextmanager
def compilations(of="backend_compile"):
    """A list that gains the name of each of JAX's timed events that has `of` in it.

    Its listener alone is taken away at the end: others may be counting too.
    """
    events = []

    def note(name, duration, **_):
        if of in name:
            events.append(name)

    jax.monitoring.register_event_duration_secs_listener(note)
    try:
        yield events
    finally:
        jax.monitoring.unregister_event_duration_listener(note)
