"""Crops of the picture around what moves and what is known, beside sweeps of the whole frame."""
