"""What runs on a board as root: install, first boot, update, rollback.

It needs the standard library alone (Python 3.10 or newer) and runs out of the wheel, before
anything is installed: `PYTHONPATH=wheels/edge_vision-….whl python3 -m boards.device --help`.
"""
