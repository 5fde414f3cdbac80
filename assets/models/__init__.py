from assets.models.ledger import CleanUp, Disposition, Extension
from assets.models.operations import Operation, OperationItem, Verb
from assets.models.reviews import Review, Verdict
from assets.models.saved_views import SavedView
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
    "Review",
    "SavedView",
    "Verb",
    "Verdict",
    "WorkspaceAsset",
]
