"""Volumes as tensors for PyTorch's DataLoader; imported only when asked for, since it imports torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch  # type: ignore[import-not-found,unused-ignore]
from torch.utils.data import IterableDataset  # type: ignore[import-not-found,unused-ignore]


class Tensors(IterableDataset):  # type: ignore[misc,unused-ignore]
    """The volumes with `array` and `affine` as tensors; each worker of a DataLoader gives its share."""

    def __init__(self, volumes: Iterable[dict[str, Any]]) -> None:
        super().__init__()
        self.volumes = volumes

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The volumes of this worker."""
        for found in self.volumes:
            yield {
                **found,
                "array": torch.from_numpy(found["array"]),
                "affine": torch.from_numpy(found["affine"]),
            }
