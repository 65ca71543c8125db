"""Bytes of a program, from its text: slices, updates in place, loops, libraries, other memories."""

import pytest

from trm_jax.plan.hlo import arrays, parse, size
from trm_jax.plan.traffic import read_traffic

HEAD = "HloModule jit_step, is_scheduled=true, entry_computation_layout={()->()}\n"


def traffic(entry, *computations):
    """Of a program whose entry has these lines, after other computations."""
    lines = [HEAD, *computations, "ENTRY %main.1 (a: f32[100]) -> f32[100] {", *entry, "}"]
    return read_traffic("\n".join(lines))


def computation(name, *lines):
    return "\n".join([f"%{name} (p: f32[]) -> f32[] {{", *lines, "}"])


A = "  %a = f32[100]{0} parameter(0)"
BIG = "  %big = f32[10,100]{1,0} parameter(1)"


def test_a_kernel_reads_its_operands_once_and_writes_its_result():
    found = traffic(
        [
            A,
            '  %sum.3 = f32[100]{0} add(%a, %a), metadata={op_name="f(g)"}',
            "  %v = (f32[100]{0}, s32[]) tuple(%sum.3, %sum.3)",
            "  %w = f32[100]{0} get-tuple-element(%v), index=0",
            "  ROOT %out = bf16[100]{0} convert(%w)",
        ]
    )
    assert dict(found.bytes) == {"add": 800, "convert": 600}
    assert found.total == 1400 and dict(found.runs) == {"add": 1, "convert": 1}


@pytest.mark.parametrize("through", ["", "bitcast"])
def test_a_fusion_reads_the_slices_that_it_takes(through):
    used = "%p0" if not through else "%flat"
    body = computation(
        "fused_slice",
        "  %p0 = f32[10,100]{1,0} parameter(0)",
        "  %flat = f32[10,100]{1,0} bitcast(%p0)" if through else "",
        f"  %s0 = f32[1,100]{{1,0}} slice({used}), slice={{[0:1], [0:100]}}",
        f"  %s1 = f32[1,100]{{1,0}} slice({used}), slice={{[1:2], [0:100]}}",
        "  ROOT %r = f32[1,100]{1,0} add(%s0, %s1)",
    )
    line = "  ROOT %loop_add_fusion.7 = f32[1,100]{1,0} fusion(%big), calls=%fused_slice"
    assert dict(traffic([A, BIG, line], body).bytes) == {"loop_add_fusion": 800 + 400}


def test_never_more_than_an_operand_has():
    body = computation(
        "fused",
        "  %p0 = f32[100]{0} parameter(0)",
        "  %s0 = f32[90]{0} slice(%p0), slice={[0:90]}",
        "  %s1 = f32[90]{0} slice(%p0), slice={[10:100]}",
        "  ROOT %r = f32[90]{0} add(%s0, %s1)",
    )
    line = "  ROOT %f = f32[90]{0} fusion(%a), kind=kLoop, calls=%fused"
    assert traffic([A, line], body).total == 400 + 360


def test_what_is_updated_in_place_is_written_where_it_changes():
    body = computation(
        "fused_update",
        "  %p0 = f32[10,100]{1,0} parameter(0)",
        "  %p1 = f32[100]{0} parameter(1)",
        "  %row = f32[1,100]{1,0} bitcast(%p1)",
        "  %zero = s32[] constant(0)",
        "  ROOT %u = f32[10,100]{1,0} dynamic-update-slice(%p0, %row, %zero, %zero)",
    )
    line = "  ROOT %f = f32[10,100]{1,0} fusion(%big, %a), kind=kLoop, calls=%fused_update"
    assert traffic([A, BIG, line], body).total == 400 + 400
    alone = "  ROOT %u = f32[10,100]{1,0} dynamic-update-slice(%big, %row, %i, %i)"
    row, i = "  %row = f32[1,100]{1,0} bitcast(%a)", "  %i = s32[] constant(0)"
    assert traffic([A, BIG, row, i, alone]).total == 400 + 400 + 4


@pytest.mark.parametrize(
    ("condition", "config", "times", "unknown"),
    [
        ("compare(%i, %n), direction=LT", 'backend_config={"known_trip_count":{"n":"3"}}', 3, 0),
        ("compare(%i, %n), direction=LT", "", 5, 0),
        ("compare(%i, %n), direction=NE", "", 1, 1),
    ],
)
def test_a_loop_counts_as_often_as_it_runs(condition, config, times, unknown):
    body = computation("body", A, "  ROOT %x = f32[100]{0} copy(%a)")
    test = computation(
        "condition",
        "  %n = s32[] constant(5)",
        "  %i = s32[] parameter(0)",
        f"  ROOT %lt = pred[] {condition}",
    )
    line = f"  ROOT %w = f32[100]{{0}} while(%a), condition=%condition, body=%body, {config}"
    found = traffic([A, line], body, test)
    assert (found.total, found.runs["copy"]) == (800 * times, times)
    assert found.unknown_loops == unknown


def test_calls_and_branches_are_gone_into():
    body = computation("inner", A, "  ROOT %x = f32[100]{0} copy(%a)")
    entry = [
        A,
        "  %c = f32[100]{0} call(%a), to_apply=%inner",
        "  ROOT %d = f32[100]{0} conditional(%a, %c, %c), branch_computations={%inner, %inner}",
    ]
    assert traffic(entry, body).total == 3 * 800


def test_the_room_of_a_library_is_no_traffic():
    rest = ', custom_call_target="{}", backend_config={{"gemm_backend_config":{{}}}}'
    line = "  %c.1 = (f32[100]{0}, s8[4194304]{0}) custom-call(%a, %a)"
    other = line.replace("%c.1", "%c.2")
    entry = [A, line + rest.format("__cublas$lt$matmul"), other + rest.format("__cudnn$fmha")]
    found = traffic(entry).bytes
    assert dict(found) == {"__cublas$lt$matmul": 800, "__cudnn$fmha": 800}
    own = traffic([A, line + rest.format("__gpu$xla.gpu.triton")])
    assert own.total == 800 + 4194304


def test_other_memories_are_no_traffic():
    tiled = "f32[100]{0:T(128)S(1)}"
    entry = [
        A,
        f"  %s = (f32[100]{{0}}, {tiled}, u32[]{{:S(2)}}) copy-start(%a)",
        f"  %d = {tiled} copy-done(%s)",
        f"  %e = {tiled} add(%d, %d)",
        "  %t = ((f32[100]{0}), f32[25]{0:S(1)}, s32[]{:S(2)}) slice-start(%a), slice={[0:25]}",
        "  ROOT %o = f32[100]{0:T(128)} convert(%e)",
    ]
    assert dict(traffic(entry).bytes) == {"copy": 400, "add": 0, "slice": 100, "convert": 400}


def test_an_exchange_reads_and_writes():
    entry = [
        A,
        "  %r = f32[100]{0} all-reduce-start(%a), to_apply=%add",
        "  %d = f32[100]{0} all-reduce-done(%r)",
        "  %g = (f32[100]{0}, f32[800]{0}) all-gather-start(%a)",
        "  ROOT %h = f32[800]{0} all-gather-done(%g)",
    ]
    assert dict(traffic(entry).bytes) == {"all-reduce": 800, "all-gather": 3600}


def test_shapes_and_lines():
    found = arrays("(bf16[2,3]{1,0:T(8,128)(2,1)S(1)}, /*index=1*/pred[4], f8e4m3fn[5], f32[])")
    assert [array.bytes for array in found] == [12, 4, 5, 4]
    assert [array.main for array in found] == [False, True, True, True]
    assert size("token[]") == 0 and read_traffic("").total == 0
    program = parse(
        HEAD + computation("x", "  ROOT %a.1 = (f32[2], s8[]) custom-call(%b, %c), x=(1)")
    )
    (line,) = program.computations["x"].instructions.values()
    assert (line.opcode, line.operands, line.shape) == ("custom-call", ("b", "c"), "(f32[2], s8[])")
    assert program.computations["x"].root == "a.1"
