"""ONNX files, read without TensorFlow."""
