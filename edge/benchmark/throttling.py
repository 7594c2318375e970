"""The throttle bits of a Raspberry Pi's firmware, in words."""

from __future__ import annotations

# Source: Raspberry Pi documentation, "vcgencmd", get_throttled.
FLAGS = {
    0x1: "under-voltage",
    0x2: "frequency capped",
    0x4: "throttled",
    0x8: "soft temperature limit",
}
SINCE_BOOT_SHIFT = 16
NOW_MASK = sum(FLAGS)


def words(bits: int) -> list[str]:
    """Return what each bit says; those up to 0x8 hold now, the others have since the boot."""
    now = [f"{text} now" for flag, text in FLAGS.items() if bits & flag]
    since = [
        f"{text} since boot" for flag, text in FLAGS.items() if bits >> SINCE_BOOT_SHIFT & flag
    ]
    known = NOW_MASK | NOW_MASK << SINCE_BOOT_SHIFT
    return [*now, *since, *([f"unknown bits {bits & ~known:#x}"] if bits & ~known else [])]


def during(seen: list[int]) -> list[str]:
    """Return what happened while these bits were read: seen at the time, or new since the first."""
    held = new = 0
    for bits in seen:
        held |= bits & NOW_MASK
        new |= bits >> SINCE_BOOT_SHIFT & ~(seen[0] >> SINCE_BOOT_SHIFT) & NOW_MASK
    return [text for flag, text in FLAGS.items() if (held | new) & flag]
