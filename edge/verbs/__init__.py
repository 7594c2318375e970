"""The command `edge`: one file a verb."""
