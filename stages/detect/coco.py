"""The 80 classes of COCO (Lin et al. 2014) in the order that detectors number them."""

COCO_NAMES = (
    *("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light"),
    *("fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow"),
    *(
        "elephant",
        "bear",
        "zebra",
        "giraffe",
        "backpack",
        "umbrella",
        "handbag",
        "tie",
        "suitcase",
        "frisbee",
    ),
    *("skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard"),
    *("surfboard", "tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl"),
    *("banana", "apple", "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake"),
    *("chair", "couch", "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote"),
    *("keyboard", "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock"),
    *("vase", "scissors", "teddy bear", "hair drier", "toothbrush"),
)

# Category numbers that COCO's paper lists and its boxes never use (Lin et al. 2014, appendix).
_UNUSED_CATEGORIES = (0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83)


def _by_category() -> tuple[str, ...]:
    names = iter(COCO_NAMES)
    return tuple("" if number in _UNUSED_CATEGORIES else next(names) for number in range(91))


COCO_CATEGORIES = _by_category()
"""The same by COCO's category number, 0..90; numbers without a class have the name ""."""
