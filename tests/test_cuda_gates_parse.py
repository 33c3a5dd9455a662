"""Reading what ptxas, nvdisasm and c++filt say (build_tools/cuda_gates/parse.py)."""

from __future__ import annotations

import pytest

from build_tools.cuda_gates.parse import (
    Code,
    Resources,
    moves_packs,
    parse_build_log,
    parse_ptxas,
    parse_sass,
    short_name,
)

PTXAS = """\
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_Zfirst' for 'sm_90'
ptxas info    : Function properties for _Zfirst
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 42 registers, used 0 barriers
ptxas info    : Compile time = 24.030 ms
ptxas info    : Compiling entry function '_Zsecond' for 'sm_90'
ptxas info    : Function properties for _Zsecond
    16 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 32 registers, used 1 barriers, 16 bytes cumulative stack size, 4096 bytes smem
ptxas info    : Function properties for _Zhelper
    64 bytes stack frame, 4 bytes spill stores, 4 bytes spill loads
"""

SASS = """\
	.target	sm_90
//--------------------- .nv.info                  --------------------------
	//----- nvinfo : EIATTR_REGCOUNT
//--------------------- .nv.info._Zfirst --------------------------
	//----- nvinfo : EIATTR_MAX_THREADS
	.align		4
.L_105:
        /*0050*/ 	.byte	0x04, 0x05
        /*0052*/ 	.short	(.L_107 - .L_106)
.L_106:
        /*0054*/ 	.word	0x00000080
        /*0058*/ 	.word	0x00000002
        /*005c*/ 	.word	0x00000001


	//----- nvinfo : EIATTR_CRS_STACK_SIZE
//--------------------- .nv.info._Zsecond --------------------------
	//----- nvinfo : EIATTR_CRS_STACK_SIZE
        /*0064*/ 	.word	0x00000000
//--------------------- .text._Zfirst --------------------------
	.section	.text._Zfirst,"ax",@progbits
_Zfirst:
        /*0000*/                   LDC R1, c[0x0][0x28] ;
        /*0010*/                   LDG.E.128.CONSTANT R8, desc[UR4][R2.64] ;
        /*0020*/              @!P0 LDG.E.128 R12, desc[UR4][R2.64+0x10] ;
        /*0030*/                   LDG.E.64 R16, desc[UR4][R2.64] ;
        /*0040*/              @P1  STG.E.128 desc[UR4][R4.64], R8 ;
        /*0050*/                   EXIT ;
//--------------------- .text._Zsecond --------------------------
_Zsecond:
        /*0000*/                   LDS.128 R4, [R2] ;
        /*0010*/              @P0  ATOMS.ADD RZ, [R2], R3 ;
        /*0020*/                   STL.64 [R1+0x8], R4 ;
        /*0030*/                   LDL R6, [R1+0x8] ;
        /*0040*/                   LDGSTS.E.BYPASS.128 [R2], desc[UR4][R4.64] ;
        /*0050*/                   EXIT ;
"""


def test_a_build_is_read_file_by_file():
    log = (
        "2026-01-01T00:00:00,000   [1/3] /usr/bin/nvcc --generate-dependencies -O3 -c -c /a/csrc/cuda/one.cu -o "
        f"/b/one.o -O3\n{PTXAS}[2/3] c++ -c /a/csrc/ops/one.cpp -o /b/two.o\nptxas info    : nothing\n"
        "[3/3] nvcc -c two.cu -o two.o\n"
    )
    said = parse_build_log(log)
    assert list(said) == ["one.cu", "two.cu"]
    assert len(parse_ptxas(said["one.cu"])) == 2 and not parse_ptxas(said["two.cu"])


def test_ptxas_is_read():
    found = parse_ptxas(PTXAS.replace("'_Zsecond' for 'sm_90'", "'_Zsecond' for 'sm_80'"))
    assert list(found) == [("sm_90", "_Zfirst"), ("sm_80", "_Zsecond")]
    first, second = found.values()
    assert first == Resources(42, stack=0, spill_stores=0, spill_loads=0, shared=0, barriers=0)
    # A device function that was not inlined counts with its kernel.
    assert second == Resources(
        32, stack=64, spill_stores=12, spill_loads=16, shared=4096, barriers=1
    )


def test_ptxas_in_another_dialect_is_an_error():
    with pytest.raises(ValueError, match="no registers or stack frame reported for _Zfirst"):
        parse_ptxas(PTXAS.replace("Used 42 registers", "Registers: 42"))


def test_sass_is_read():
    code = parse_sass(SASS)
    assert code["_Zfirst"] == Code(2, local=0, shared=0, instructions=6, max_threads=256)
    assert code["_Zsecond"] == Code(0, local=2, shared=3, instructions=6, max_threads=None)


def test_sass_in_another_dialect_is_an_error():
    with pytest.raises(ValueError, match="no instruction could be read in _Zfirst"):
        parse_sass(SASS.replace("/*00", "[00"))


@pytest.mark.parametrize(
    ("demangled", "short", "packs"),
    [
        (
            "void ltgnn::cuda::(anonymous namespace)::propagate_kernel<float, long, 4>("
            "ltgnn::PropagateParams, ltgnn::FaultSink, int)",
            "propagate_kernel<float, int64, 4>",
            True,
        ),
        (
            "void ltgnn::cuda::(anonymous namespace)::dot<ltgnn::BFloat16, int, (int)8>(int)",
            "dot<bfloat16, int32, 8>",
            True,
        ),
        ("void ltgnn::cuda::(anonymous namespace)::dot<ltgnn::Float16, int, 8>(int)",
         "dot<float16, int32, 8>", True),
        ("void ltgnn::cuda::(anonymous namespace)::dot<double, int, 1>(int)",
         "dot<double, int32, 1>", False),
        ("void ltgnn::cuda::(anonymous namespace)::pick<float, (ltgnn::DType)2, true>(long)",
         "pick<float, (DType)2, true>", False),
        ("void ltgnn::cuda::nest<ltgnn::cuda::Tile<float, 4>, int>(long)",
         "nest<Tile<float, 4>, int32>", False),
        ("ltgnn::cuda::(anonymous namespace)::merge(long*, int)", "merge", False),
        ("void cub::CUB_300001_SM_900::detail::radix::DeviceSort<float, 4, (cub::X)0>(int)",
         "cub::DeviceSort", False),
    ],
)  # fmt: skip
def test_short_names(demangled, short, packs):
    assert short_name(demangled) == short
    assert moves_packs(short) is packs
