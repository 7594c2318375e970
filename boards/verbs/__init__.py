"""Verbs of `edge` that are about boards."""
