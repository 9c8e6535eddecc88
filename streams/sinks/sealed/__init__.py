"""Files that the box can write and only their owner can read: the age format (C2SP, age-encryption.org/v1)."""
