"""The board's half of edge-vision: camera frames in, detections on MQTT out."""
