"""One typed value for a model's graph: what reads a `.tflite`, changes it and writes it."""
