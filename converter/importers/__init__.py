"""Foreign model formats in, float `.tflite` with raw named heads out."""
