"""Writing coded packets into containers without decoding them."""
