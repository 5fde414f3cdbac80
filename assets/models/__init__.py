from assets.models.upstream import Job, LibraryAsset, Profile, WorkspaceAsset

__all__ = ["Job", "LibraryAsset", "Profile", "WorkspaceAsset"]
