"""Networks in the formats of Darknet and Caffe, run by OpenCV."""
