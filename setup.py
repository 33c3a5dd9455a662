"""Builds ltgnn's compiled modules; everything else about the package is in pyproject.toml.

Environment: LTGNN_CUDA=auto|1|0 (build the CUDA operators where possible, or fail, or do not);
TORCH_CUDA_ARCH_LIST; MAX_JOBS (parallel compiler runs).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))

from build_tools.cuda import CudaPlan, plan_cuda  # noqa: E402
from build_tools.sources import sources  # noqa: E402
from build_tools.torch_finder import (  # noqa: E402
    TORCH_REQUIREMENT,
    is_suitable,
    use_installed_torch,
)

use_installed_torch()

import pybind11  # noqa: E402
import torch  # noqa: E402
from setuptools import Extension, setup  # noqa: E402
from setuptools.command.build_py import build_py  # noqa: E402
from torch.utils.cpp_extension import BuildExtension, CppExtension, CUDAExtension  # noqa: E402

if not is_suitable(torch.__version__):
    sys.exit(f"ltgnn: building needs {TORCH_REQUIREMENT}, got torch {torch.__version__}")

VERSION = re.search(r'__version__ = "(.+)"', (ROOT / "ltgnn/_version.py").read_text())[1]
TORCH_TARGET = "0x020a000000000000"  # 2.10: the oldest torch that the built library loads on
CPU_GROUPS = ("library", "module", "ops", "cpu")  # of csrc/sources.txt, into ltgnn._C
CUDA_GROUPS = ("module", "ops", "ops_cuda", "cuda")  # into ltgnn._C_cuda
FLAGS = ["-O3", "-g0", "-std=c++20", "-fno-math-errno", "-fvisibility=hidden", "-Wall"]


def torch_extension(kind, module: str, groups: tuple[str, ...], cuda: bool, **options) -> Extension:
    """A module of torch operators: stable torch interface, Python's limited API."""
    macros = [
        ("TORCH_TARGET_VERSION", TORCH_TARGET),
        ("LTGNN_VERSION", f'"{VERSION}"'),
        ("LTGNN_MODULE_NAME", f'"{module.rpartition(".")[2]}"'),
        ("LTGNN_BACKEND", str(int(cuda))),  # see csrc/ops/backend.h
    ]
    if cuda:
        macros.append(("USE_CUDA", None))  # lets torch's stable headers declare their CUDA half
    return kind(
        module,
        sources(*groups),
        include_dirs=[str(ROOT / "csrc"), *options.pop("include_dirs", [])],
        define_macros=macros,
        py_limited_api=True,
        extra_compile_args={"cxx": FLAGS, "nvcc": ["-O3", "-std=c++20"]} if cuda else FLAGS,
        **options,
    )


def extensions(cuda: CudaPlan) -> list[Extension]:
    """The modules to build."""
    modules = [
        torch_extension(CppExtension, "ltgnn._C", CPU_GROUPS, cuda=False),
        Extension(
            "ltgnn._io",
            sources("io"),
            include_dirs=[str(ROOT / "csrc"), pybind11.get_include()],
            extra_compile_args=FLAGS,
            language="c++",
        ),
    ]
    if cuda.build:
        modules.append(
            torch_extension(
                CUDAExtension,
                "ltgnn._C_cuda",
                CUDA_GROUPS,
                cuda=True,
                include_dirs=cuda.include_dirs,
                library_dirs=cuda.library_dirs,
                libraries=["cusparse"],
            )
        )
    return modules


class Modules(build_py):
    """setuptools' copy of the Python files, without those of an earlier build that are gone since."""

    def run(self) -> None:
        if not self.editable_mode:
            shutil.rmtree(Path(self.build_lib) / "ltgnn", ignore_errors=True)
        super().run()


class Build(BuildExtension):
    """torch's build, with objects apart for each module, and a record of what was chosen."""

    def build_extension(self, extension: Extension) -> None:
        # csrc/ops is compiled into two modules with different macros: their objects must not meet.
        shared = self.build_temp
        self.build_temp = os.path.join(shared, extension.name)
        try:
            super().build_extension(extension)
        finally:
            self.build_temp = shared

    def run(self) -> None:
        folder = ROOT if self.inplace else Path(self.build_lib)
        if not PLAN.build:  # one of an earlier build would be loaded with this build's schemas
            (folder / "ltgnn" / "_C_cuda.abi3.so").unlink(missing_ok=True)
        super().run()
        (folder / "ltgnn" / "_build_info.json").write_text(json.dumps(SUMMARY, indent=2) + "\n")


PLAN = plan_cuda(os.environ.get("LTGNN_CUDA", "auto"), ROOT / "build")
SUMMARY = {
    "version": VERSION,
    "torch": torch.__version__,
    "torch_from": str(Path(torch.__file__).parent.parent.name),
    "modules": [extension.name for extension in extensions(PLAN)],
    "cuda": PLAN.build,
    "cuda_reason": PLAN.reason,
    "cuda_architectures": os.environ.get("TORCH_CUDA_ARCH_LIST") if PLAN.build else None,
    "nvcc": PLAN.nvcc,
}

if __name__ == "__main__":
    print(f"ltgnn build: {json.dumps(SUMMARY)}", file=sys.stderr)
    setup(ext_modules=extensions(PLAN), cmdclass={"build_py": Modules, "build_ext": Build})
