"""Files for other accelerators than the CPU: Edge TPU, GPU, TensorRT."""
