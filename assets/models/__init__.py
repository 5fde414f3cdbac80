from assets.models.ledger import CleanUp, Disposition, Extension
from assets.models.operations import Operation, OperationItem, Verb
from assets.models.upstream import Job, LibraryAsset, Profile, WorkspaceAsset

__all__ = [
    "CleanUp",
    "Disposition",
    "Extension",
    "Job",
    "LibraryAsset",
    "Operation",
    "OperationItem",
    "Profile",
    "Verb",
    "WorkspaceAsset",
]
