"""Columns in files: one safetensors file a shard, whose every byte follows from its rows.

The file is written and read here, without a library: the header is a function of the columns' types and the
number of rows, so reading compares it and never parses what somebody else may have written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from datagen import files
from datagen.errors import BrokenData, RecipeError
from datagen.manifest import DTYPES, MAX_AXES, MAX_COLUMNS, Column, Shard

Arrays = dict[str, npt.NDArray[Any]]
_NAMES = {
    "uint8": "U8",
    "int8": "I8",
    "uint16": "U16",
    "int16": "I16",
    "uint32": "U32",
    "int32": "I32",
    "uint64": "U64",
    "int64": "I64",
    "float32": "F32",
    "float64": "F64",
}
_BLOCK = 1 << 20


def spec(name: str, columns: Mapping[str, tuple[str, tuple[int, ...]]]) -> dict[str, Column]:
    """A recipe's columns; RecipeError where it lacks one or names a type there is not."""
    made = {each: Column(dtype, tuple(shape)) for each, (dtype, shape) in sorted(columns.items())}
    odd = [
        each for each, column in made.items() if column.dtype not in DTYPES or len(column.shape) > MAX_AXES
    ]
    if odd or not made or len(made) > MAX_COLUMNS:
        raise RecipeError(f"recipe {name}: its columns {', '.join(odd)} are of no type that can be kept")
    if made.get("split") != Column("uint8", ()) or made.get("key") != Column("uint64", ()):
        raise RecipeError(f"recipe {name} must have the columns split (uint8) and key (uint64)")
    return made


def empty(columns: Mapping[str, Column], rows: int) -> Arrays:
    """Room for so many rows."""
    return {name: np.empty((rows, *each.shape), _little(each)) for name, each in columns.items()}


def row_bytes(columns: Mapping[str, Column]) -> int:
    """Bytes of one row over all columns."""
    return sum(each.row_bytes for each in columns.values())


def fits(name: str, columns: Mapping[str, Column], made: Mapping[str, Any], rows: int) -> None:
    """RecipeError where what a recipe made is not what it said."""
    if made.keys() != columns.keys():
        odd = ", ".join(sorted(map(str, made.keys() ^ columns.keys())))
        raise RecipeError(f"recipe {name}: columns missing or too many: {odd}")
    for each, column in columns.items():
        array, shape = made[each], (rows, *column.shape)
        if not isinstance(array, np.ndarray) or array.dtype != column.dtype or array.shape != shape:
            found = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
            raise RecipeError(f"recipe {name}: column {each} is {found}, not {column.dtype} {shape}")
    if (made["split"] > 1).any():
        raise RecipeError(f"recipe {name}: split is neither 0 nor 1")


def write(path: Path, columns: Mapping[str, Column], arrays: Arrays, rows: int) -> Shard:
    """Put the rows into one file, whole or not at all."""
    digest, size = hashlib.sha256(), 0
    with files.replacing(path) as file:
        for part in _parts(columns, arrays, rows):
            files.write(file, part)
            digest.update(part)
            size += len(part)
    return Shard(path.name, rows, size, digest.hexdigest())


def file_bytes(columns: Mapping[str, Column], rows: int) -> int:
    """The size of a file of so many rows."""
    return len(header(columns, rows)) + rows * row_bytes(columns)


def read(path: Path, columns: Mapping[str, Column], shard: Shard) -> Arrays:
    """The rows of a file that is what the manifest says; BrokenData tells what to do where it is not."""
    head = header(columns, shard.rows)
    try:
        with files.open_regular(path) as file:
            size = file.seek(0, 2)
            if size != shard.bytes or size != len(head) + shard.rows * row_bytes(columns):
                raise BrokenData(f"{path} is missing or torn; make the data set again")
            file.seek(0)
            found = file.read(len(head))
            digest, arrays = hashlib.sha256(found), {}
            for name in _order(columns):
                array = np.empty((shard.rows, *columns[name].shape), _little(columns[name]))
                view = array.reshape(-1).view(np.uint8).data
                for begin in range(0, len(view), _BLOCK):
                    part = view[begin : begin + _BLOCK]
                    if file.readinto(part) != len(part):  # type: ignore[attr-defined]
                        raise BrokenData(f"{path} is missing or torn; make the data set again")
                    digest.update(part)
                arrays[name] = array
    except FileNotFoundError:
        raise BrokenData(f"{path} is missing or torn; make the data set again") from None
    except OSError as error:
        raise BrokenData(f"{path} can't be read: {error.strerror or error}") from None
    if found != head or digest.hexdigest() != shard.sha256:
        raise BrokenData(f"{path} was altered; make the data set again")
    return {name: arrays[name] for name in columns}


def header(columns: Mapping[str, Column], rows: int) -> bytes:
    """The beginning of a safetensors file with these columns: a length and JSON, padded to eight bytes."""
    at, body = 0, {}
    for name in _order(columns):
        column = columns[name]
        end = at + rows * column.row_bytes
        shape = [rows, *column.shape]
        body[name] = {"dtype": _NAMES[column.dtype], "shape": shape, "data_offsets": [at, end]}
        at = end
    text = json.dumps(body, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


class Totals:
    """What all rows together come to, in order: a digest that no cut changes, and how many are different."""

    def __init__(self, columns: Mapping[str, Column]) -> None:
        self._columns = columns
        self._digests = {name: hashlib.sha256() for name in columns}
        self._keys: list[npt.NDArray[np.uint64]] = []
        self._splits: list[npt.NDArray[np.uint8]] = []

    def add(self, arrays: Arrays) -> None:
        """Take the next rows into account."""
        for name, digest in self._digests.items():
            digest.update(_bytes(arrays[name]))
        self._keys.append(arrays["key"])
        self._splits.append(arrays["split"])

    def content(self) -> str:
        """SHA-256 over the columns' types and their rows in order."""
        body = {
            name: [self._columns[name].dtype, list(self._columns[name].shape), digest.hexdigest()]
            for name, digest in self._digests.items()
        }
        return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()

    def splits(self) -> dict[str, int]:
        """Rows by split."""
        test = sum(int(part.sum()) for part in self._splits)
        return {"train": sum(map(len, self._splits)) - test, "test": test}

    def distinct(self) -> int:
        """How many keys there are."""
        return len(np.unique(np.concatenate(self._keys)))

    def shared(self) -> int:
        """How many keys stand on both sides: none, where a recipe keeps its promise."""
        keys, splits = np.concatenate(self._keys), np.concatenate(self._splits)
        return len(np.intersect1d(keys[splits == 0], keys[splits == 1]))


def _parts(columns: Mapping[str, Column], arrays: Arrays, rows: int) -> Iterator[bytes | memoryview]:
    yield header(columns, rows)
    for name in _order(columns):
        yield _bytes(arrays[name])


def _bytes(array: npt.NDArray[Any]) -> memoryview:
    """The numbers in order, little-endian, without a copy where they lie so already."""
    plain = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return plain.reshape(-1).view(np.uint8).data


def _order(columns: Mapping[str, Column]) -> list[str]:
    """Wide numbers first, so that all lie aligned."""
    return sorted(columns, key=lambda name: (-DTYPES[columns[name].dtype], name))


def _little(column: Column) -> np.dtype[Any]:
    return np.dtype(column.dtype).newbyteorder("<")
