"""The built package as one file: `python -m local.package FOLDER ZIP`.

The same folder gives the same bytes, with one version of zlib: order, times and modes are ours.
Lambda accepts it as it is, and a second build of the same commit can be compared.
"""

import hashlib
import sys
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

FILE_MODE = 0o100644


def write_zip(folder: Path, target: Path) -> str:
    """Puts every file of the folder into the zip; gives the zip's SHA-256."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    partial = target.with_name(f"{target.name}.partial")
    with ZipFile(partial, "w") as archive:
        for name in names:
            if (folder / name).is_file():
                info = ZipInfo(name)  # of 1 January 1980, zip's first day
                info.compress_type = ZIP_DEFLATED
                info.create_system = 3  # made on Unix: the modes are Unix modes
                info.external_attr = FILE_MODE << 16
                archive.writestr(info, (folder / name).read_bytes(), compresslevel=9)
    partial.replace(target)
    return hashlib.sha256(target.read_bytes()).hexdigest()


def main(folder: Path, target: Path) -> None:
    digest = write_zip(folder, target)
    print(f"{target}: {target.stat().st_size:,} bytes, sha256 {digest}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
