"""The workstation's half of edge-vision: a float model in, one proven int8 file out."""
