"""A GPU's provider of onnxruntime that obeys the real signatures: the session below is a real one.

It computes on the CPU, says that it is another provider, and keeps an engine as TensorRT's does.
"""

from __future__ import annotations

from pathlib import Path

from edge.model import engines

GPU = "Orin (nvgpu), driver 12060"
BUILT = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
ENGINE = "TensorrtExecutionProvider_TRTKernel_graph_edge-vision_1_0_fp16_sm87.engine"


def install(runtime, monkeypatch):
    """Put it in onnxruntime's place; return what it was told, and `answers` for what it shall say.

    `built` counts the engines that it built.
    """
    told = {"built": 0}

    class Session(runtime.InferenceSession):
        def __init__(self, model, options, *, providers, enable_fallback):
            ((name, settings),) = providers
            strict = "0"
            if name != "CPUExecutionProvider":
                strict = options.get_session_config_entry("session.disable_cpu_ep_fallback")
            told.update(name=name, settings=settings, retry=enable_fallback, strict=strict)
            assert all(isinstance(value, str) for value in settings.values())
            _keep_engine(settings, told)
            plain = runtime.SessionOptions()
            super().__init__(model, plain, providers=["CPUExecutionProvider"])
            self._says = name

        def get_providers(self):
            return [told.get("answers", self._says), "CPUExecutionProvider"]

    monkeypatch.setattr(engines, "gpu_name", lambda number: f"{GPU} {number}")
    monkeypatch.setattr(runtime, "InferenceSession", Session)
    monkeypatch.setattr(runtime, "get_available_providers", lambda: BUILT)
    return told


def _keep_engine(settings, told):
    if settings.get("trt_engine_cache_enable") == "1" and not told.get("keeps_nothing"):
        path = Path(settings["trt_engine_cache_path"]) / ENGINE
        if not path.exists():
            told["built"] += 1
            path.write_bytes(b"engine")
