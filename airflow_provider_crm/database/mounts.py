"""Find out on which kind of file system a path is, as far as the operating system says it."""

from __future__ import annotations

from pathlib import Path

_MOUNTS = Path("/proc/self/mounts")
_OVER_A_NETWORK = (
    "nfs",
    "cifs",
    "smb",
    "afs",
    "ceph",
    "glusterfs",
    "lustre",
    "fuse.sshfs",
    "fuse.ceph",
    "fuse.gluster",
)


def network_file_system(path: Path, mounts: str | None = None) -> str | None:
    """Return the kind of file system, such as `nfs4`, if a path is on one of another machine; None if not, or unknown.

    Args:
        path: Of a file that need not exist.
        mounts: The mounts in the form of Linux' /proc/self/mounts; None for those of this machine.
    """
    if mounts is None:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="replace") if _MOUNTS.exists() else ""
    whole, kind, longest = path.resolve(), "", -1
    for line in mounts.splitlines():
        _, point, file_system, *_ = (*line.split(), "", "", "")
        folder = Path(point.replace("\\040", " ") or "/")
        if whole.is_relative_to(folder) and len(folder.parts) >= longest:
            kind, longest = file_system, len(folder.parts)
    return kind if kind.startswith(_OVER_A_NETWORK) else None
