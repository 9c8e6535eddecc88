"""Files that the box can write and only their owner can read: in the format of age, version 1 (C2SP)."""
