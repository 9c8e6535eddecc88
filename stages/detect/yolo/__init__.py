"""Every YOLO of ultralytics, and its RT-DETR, on torch or exported to a faster runtime."""
