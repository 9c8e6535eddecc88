"""What must not be seen is hidden before anybody outside gets the picture (docs/privacy.md)."""
