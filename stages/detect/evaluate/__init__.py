"""How right is a detector? Labelled pictures, a detector over them, and COCO's measures."""
