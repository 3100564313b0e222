"""Torch's compiler chooses the same instructions, whoever tries its libraries."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from torch._inductor import cpu_vec_isa

from lightning_dqn.learning.compilation import has_cxx_compiler
from lightning_dqn.learning.vector_instructions import asked_in_this_process, loads

pytestmark = [
    pytest.mark.skipif(not has_cxx_compiler(), reason="no C++ compiler"),
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),
]


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(cpu_vec_isa.VecISA, "_probe_load"),
    reason="this torch asks otherwise, or must be imported first",
)
def test_no_process_is_started_to_try_a_library(monkeypatch: pytest.MonkeyPatch) -> None:
    isa = next(iter(cpu_vec_isa.valid_vec_isa_list()), None)
    if isa is None:
        pytest.skip("no vector instructions here")
    started: list[object] = []
    run: Callable[..., object] = subprocess.run

    def noted(*arguments: object, **keywords: object) -> object:
        started.append(arguments)
        return run(*arguments, **keywords)

    monkeypatch.setattr(subprocess, "run", noted)
    before = cpu_vec_isa.VecISA._probe_load
    with asked_in_this_process():
        assert isa.check_build(cpu_vec_isa.VecISA._avx_code)
        inside = [one for one in started if sys.executable in str(one)]
    assert inside == []
    assert cpu_vec_isa.VecISA._probe_load is before
    assert isa.check_build(cpu_vec_isa.VecISA._avx_code)  # what torch does by itself
    assert [one for one in started if sys.executable in str(one)]


def test_a_library_that_does_not_load_is_told(tmp_path: Path) -> None:
    source = tmp_path / "wanting.c"
    source.write_text("extern void nowhere(void); void call(void) { nowhere(); }")
    whole = tmp_path / "whole.c"
    whole.write_text("int number(void) { return 1; }")
    for one in (source, whole):
        subprocess.run(
            ["g++", "-shared", "-fPIC", "-Wl,-z,now", "-o", one.with_suffix(".so"), one], check=True
        )
    assert loads(str(whole.with_suffix(".so")))
    assert not loads(str(source.with_suffix(".so")))
    assert not loads(str(tmp_path / "nothing.so"))
