"""Networks of torchvision, with weights of one's own or the ones that it publishes."""
