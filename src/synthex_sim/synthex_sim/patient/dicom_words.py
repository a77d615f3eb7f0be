"""What of a free-text header element may be shown.

Series descriptions and kernels say what a series is, but people write dates, names and wards there, too. Only words
known to be harmless are kept.
"""

from __future__ import annotations

import re

_HARMLESS = frozenset(
    """
    abdomen abd pelvis pelvic hip hips femur thorax chest lung lungs spine lumbar sacrum torso body trunk whole head
    neck leg legs bone bones soft tissue standard std detail edge sharp smooth plus thin thick axial ax sagittal sag
    coronal cor oblique mpr mip recon reformat volume vol series ct low dose contrast native plain ce arterial venous
    portal delayed phase localizer scout topogram surview scanogram supine prone without hr hrct kernel filter
    iterative mar metal artifact reduction left right upper lower phantom
    """.split()
)
_HARMLESS_SHAPES = tuple(
    re.compile(shape) for shape in (
        r"\d{1,2}(\.\d{1,3})?mm",  # slice thickness; a number without its unit may be part of a date
        r"[bhiudqt][rvscpfqw]?\d{2}[a-z]?",  # kernels of Siemens: B30f, Br38
        r"fc\d{2}",  # of Canon
    )
)


def harmless_words(*texts: object) -> str:
    """The words of header elements that tell something about the image and nothing about a person, in order.

    Args:
        texts: values of elements; None and empty ones are left out. Of several words in a row that are the same, one
            is kept.
    """
    joined = " ".join(re.sub(r"(?<=\d) +mm\b", "mm", str(text)) for text in texts if text)
    words = [word for word in re.split(r"[\s,;:/_()\[\]'\"+-]+", joined) if word]
    kept = [word for word in words if word.lower() in _HARMLESS or _has_harmless_shape(word.lower())]
    return " ".join(word for n, word in enumerate(kept) if n == 0 or word != kept[n - 1])


def _has_harmless_shape(word: str) -> bool:
    return any(shape.fullmatch(word) for shape in _HARMLESS_SHAPES)
